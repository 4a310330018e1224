"""The embedded PostgreSQL server: one data folder, one server, on loopback, with a generated password.

The server outlives the process that started it; whoever asks next for the same folder gets the same server.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import errors as pg_errors
from psycopg2 import sql

from deployments.postgres_data import (
    USER,
    check_space,
    check_version,
    clear_leftovers,
    cluster_name,
    locked,
    make_cluster,
    read_password,
    running_process,
)
from deployments.postgres_programs import Programs, find_programs
from deployments.processes import last_lines
from lib.errors import DatabaseUnavailable, EnvironmentRefused

HOST = "127.0.0.1"
START_SECONDS = 120  # recovery after a crash replays at most max_wal_size
STOP_SECONDS = 60
SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",  # a ring of seven files
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",  # statements carry values, and values may be secret
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        adopted: True when it ran before it was asked for.
    """

    data_dir: Path
    port: int
    password: str = field(repr=False)
    adopted: bool = False
    host: str = HOST
    user: str = USER

    def url(self, database: str, driver: str = "") -> str:
        """Return the connection URL; `driver` is SQLAlchemy's word, such as "asyncpg"."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{self.user}:{quote(self.password)}@{self.host}:{self.port}/{database}"

    def ensure_database(self, name: str, template: str = "template1") -> None:
        """Create the database if it does not exist."""
        ensure_database(self.url("postgres"), name, template)

    def drop_database(self, name: str) -> None:
        """Drop the database if it exists, ending its connections."""
        with _cursor(self.url("postgres")) as cursor:
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def ensure_database(url: str, name: str, template: str = "template1") -> None:
    """Create the database `name` on the server of `url` if it does not exist.

    Raises:
        DatabaseUnavailable: The server refuses the connection.
        EnvironmentRefused: The user of `url` may not create databases.
    """
    with _cursor(url) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone():
            return
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        try:
            cursor.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        except (pg_errors.DuplicateDatabase, pg_errors.UniqueViolation):
            return  # another process was faster
        except pg_errors.InsufficientPrivilege as error:
            user = cursor.connection.info.user
            raise EnvironmentRefused(
                f'The database user {user} may not create the database "{name}". '
                f'Create it once as an administrator: CREATE DATABASE "{name}" OWNER "{user}";'
            ) from error


@contextmanager
def _cursor(url: str) -> Iterator[psycopg2.extensions.cursor]:
    try:
        connection = psycopg2.connect(url, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(f"PostgreSQL refused the connection: {error}") from error
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def start(data_dir: Path, port: int | None = None, *, durable: bool = True) -> Server:
    """Return the server of this folder, made and started as far as needed.

    Args:
        data_dir: Where cluster, password and lock live; made if missing.
        port: The port to listen on; `None` takes a free one. A server that runs already keeps its own.
        durable: False gives up crash safety for speed (tests).

    Raises:
        EnvironmentRefused: Folder not writable, disk full, port taken, data of another major version, password lost,
            or the server does not come up; the message has the remedy.
    """
    data_dir = data_dir.absolute()
    with locked(data_dir):
        running = find_running(data_dir)
        if running:
            return running
        programs = find_programs()
        check_space(data_dir)
        cluster = data_dir / "cluster"
        if not cluster.exists():
            make_cluster(programs, data_dir, durable=durable)
        check_version(programs, cluster)
        clear_leftovers(cluster)
        server = Server(data_dir, _free_port(port), read_password(data_dir))
        _write_settings(programs, cluster, server.port, durable=durable)
        _launch(programs, data_dir)
        return server


def stop(data_dir: Path) -> bool:
    """Stop the server of this folder, ending its connections; return whether one ran.

    Raises:
        EnvironmentRefused: When it does not end in time.
    """
    cluster = (data_dir / "cluster").resolve()
    process = running_process(cluster)
    if process is None:
        return False
    wait = ("-w", "-t", str(STOP_SECONDS))
    answer = find_programs().run("pg_ctl", "-D", str(cluster), "-m", "fast", *wait, "stop", cwd=cluster)
    if answer.returncode and process.is_running():
        raise EnvironmentRefused(
            f"PostgreSQL (pid {process.pid}) did not stop within {STOP_SECONDS} s: {answer.stdout.strip()}. "
            f"See the newest file in {cluster / 'log'}."
        )
    return True


def find_running(data_dir: Path) -> Server | None:
    """Return the live server of this folder, or `None`."""
    cluster = data_dir / "cluster"
    if running_process(cluster) is None:
        return None
    try:
        port = int((cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()[3])
    except (FileNotFoundError, IndexError):
        return None  # it is just ending or beginning
    return Server(data_dir, port, read_password(data_dir), adopted=True)


def _free_port(wanted: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise EnvironmentRefused(
                f"PostgreSQL cannot listen on {HOST}:{wanted} ({error.strerror}). "
                "Stop what uses the port, or leave it out to take a free one."
            ) from error
        return int(probe.getsockname()[1])


def _write_settings(programs: Programs, cluster: Path, port: int, *, durable: bool) -> None:
    settings = SERVER_SETTINGS | {"port": str(port), "cluster_name": cluster_name(cluster)}
    if not durable:
        settings |= NOT_DURABLE
    path = cluster / "fks.conf"
    path.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()), encoding="utf-8")
    programs.own(path)


def _launch(programs: Programs, data_dir: Path) -> None:
    cluster = (data_dir / "cluster").resolve()
    log = cluster / "startup.log"
    log.unlink(missing_ok=True)
    wait = ("-w", "-t", str(START_SECONDS), "-s")
    answer = programs.run("pg_ctl", "-D", str(cluster), "-l", str(log), *wait, "start", cwd=cluster)
    if answer.returncode:
        words = "\n".join(last_lines(newest_log(data_dir))) or answer.stdout.strip()
        raise EnvironmentRefused(f"PostgreSQL did not start on {cluster}:\n{words}")


def newest_log(data_dir: Path) -> Path:
    """Return the log the server of this folder wrote to last."""
    cluster = data_dir / "cluster"
    logs = [path for path in (cluster / "startup.log", *(cluster / "log").glob("*.log")) if path.exists()]
    return max(logs, key=lambda path: path.stat().st_mtime, default=cluster / "startup.log")
