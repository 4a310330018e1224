#!/bin/sh
# Makes the two files of secrets with generated passwords, in `secrets` beside this script or in the folder given.
# The folder is closed to everybody else; its files can be read by the containers' own accounts. Nothing is overwritten.
set -eu
folder="${1:-$(dirname "$0")/secrets}"
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
if [ -e "$folder/fks.env" ] || [ -e "$folder/postgres_password" ]; then
    echo "$folder has secrets already. Remove them first; the database keeps the password it was made with." >&2
    exit 1
fi
random() { python3 -c 'import secrets; print(secrets.token_hex(24), end="")'; }
password="$(random)"
printf %s "$password" > "$folder/postgres_password"
cat > "$folder/fks.env" << END
FKS_DATABASE_URL=postgresql://fks:$password@database:5432/fks
PREFECT_API_AUTH_STRING=fks:$(random)
# What else is secret: FKS_ACCOUNTS__MAIN__KIND=live, __API_KEY, __API_SECRET, FKS_CHANNELS__TEAM__URL, …
END
chmod 444 "$folder/fks.env" "$folder/postgres_password"
echo "Made $folder/fks.env and $folder/postgres_password. The login of the UI is in fks.env."
