"""The embedded PostgreSQL: what it offers, and what it survives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest

from deployments import postgres, postgres_data, postgres_programs
from lib.errors import DatabaseUnavailable, EnvironmentRefused

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another account")


@pytest.fixture
def data_dir(session_home: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that the server's account can enter, which pytest's own tmp_path is not."""
    folder = session_home / f"{request.node.name}-{os.getpid()}" / "postgres"
    yield folder
    postgres.stop(folder)
    cluster = (folder / "cluster").resolve()
    if postgres_programs.SHARED_FOLDER in cluster.parents:
        shutil.rmtree(cluster.parent)
    shutil.rmtree(folder.parent, ignore_errors=True)


def ask(server: postgres.Server, statement: str, database: str = "postgres") -> object:
    connection = psycopg2.connect(server.url(database))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def postmaster(server: postgres.Server) -> psutil.Process:
    process = postgres_data.running_process(server.data_dir / "cluster")
    assert process is not None
    return process


def test_a_new_server_is_durable_checked_utc_and_listens_on_loopback_only(data_dir: Path) -> None:
    server = postgres.start(data_dir)
    asked = {name: ask(server, f"SHOW {name}") for name in ("fsync", "data_checksums", "timezone", "server_encoding")}
    assert asked == {"fsync": "on", "data_checksums": "on", "timezone": "UTC", "server_encoding": "UTF8"}
    listening = {entry.laddr for entry in postmaster(server).net_connections() if entry.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", server.port)}
    assert ask(server, "SHOW unix_socket_directories") == ""


def test_the_password_is_needed_kept_from_other_accounts_and_not_shown(data_dir: Path) -> None:
    server = postgres.start(data_dir, durable=False)
    assert (data_dir / "password").stat().st_mode & 0o077 == 0
    assert server.password not in repr(server)
    assert server.password not in " ".join(postmaster(server).cmdline())
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url("postgres").replace(server.password, "guess"))


def test_starting_again_gives_the_running_server(data_dir: Path) -> None:
    first = postgres.start(data_dir, durable=False)
    again = postgres.start(data_dir, durable=False)
    assert (again.port, again.password, again.adopted) == (first.port, first.password, True)


def test_six_first_starts_at_once_give_one_server(data_dir: Path) -> None:
    program = (
        "import sys, pathlib; from deployments import postgres; print(postgres.start(pathlib.Path(sys.argv[1])).port)"
    )

    def start(_: int) -> str:
        command = [sys.executable, "-c", program, str(data_dir)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(6) as pool:
        ports = list(pool.map(start, range(6)))
    assert len(set(ports)) == 1
    carriers = postgres_data.cluster_name(data_dir / "cluster")
    parents = {
        process.ppid()
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and carriers in " ".join(process.info["cmdline"] or [])
    }
    assert len(parents) == 1


def test_data_stays_over_stop_and_start_and_the_port_asked_for_is_used(data_dir: Path) -> None:
    first = postgres.start(data_dir, durable=False)
    first.ensure_database("kept")
    ask(first, "CREATE TABLE candle AS SELECT 7 AS close", "kept")
    assert postgres.stop(data_dir)
    assert not postgres.stop(data_dir)
    again = postgres.start(data_dir, first.port, durable=False)
    assert again.port == first.port
    assert ask(again, "SELECT close FROM candle", "kept") == 7


def test_after_kill_9_the_committed_rows_are_there_and_nothing_else(data_dir: Path) -> None:
    server = postgres.start(data_dir)
    ask(server, "CREATE TABLE fill (quantity int)")
    ask(server, "INSERT INTO fill VALUES (1), (2)")
    open_transaction = psycopg2.connect(server.url("postgres"))
    open_transaction.cursor().execute("INSERT INTO fill VALUES (3)")
    process = postmaster(server)
    process.kill()
    process.wait(10)
    again = postgres.start(data_dir)
    assert not again.adopted
    assert ask(again, "SELECT sum(quantity) FROM fill") == 3


def test_a_stale_pid_file_with_a_reused_process_id_does_not_stop_a_start(data_dir: Path) -> None:
    server = postgres.start(data_dir, durable=False)
    pid_file = data_dir / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    process = postmaster(server)
    process.kill()
    process.wait(10)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))  # our own process: alive, and no server
    assert postgres.find_running(data_dir) is None
    assert ask(postgres.start(data_dir, durable=False), "SELECT 1") == 1


def test_a_process_of_a_killed_server_that_still_works_on_the_data_forbids_a_start(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = postgres.start(data_dir, durable=False)
    process = postmaster(server)
    writer = next(child for child in process.children() if "background writer" in " ".join(child.cmdline()))
    writer.send_signal(signal.SIGSTOP)
    process.kill()
    process.wait(10)
    monkeypatch.setattr(postgres_data, "LEFTOVER_SECONDS", 0.3)
    try:
        with pytest.raises(EnvironmentRefused, match=f"{writer.pid}.*still work on the data"):
            postgres.start(data_dir, durable=False)
    finally:
        writer.kill()
    assert ask(postgres.start(data_dir, durable=False), "SELECT 1") == 1


def test_a_taken_port_is_named(data_dir: Path, database_server: postgres.Server) -> None:
    with pytest.raises(EnvironmentRefused, match=f"cannot listen on 127.0.0.1:{database_server.port}.*Stop what uses"):
        postgres.start(data_dir, database_server.port, durable=False)


def test_data_of_another_major_version_is_refused_with_the_remedy(data_dir: Path) -> None:
    postgres.start(data_dir, durable=False)
    postgres.stop(data_dir)
    (data_dir / "cluster" / "PG_VERSION").write_text("15\n")
    with pytest.raises(EnvironmentRefused, match=r"written by PostgreSQL 15.*pg_dump"):
        postgres.start(data_dir, durable=False)


def test_a_lost_password_is_named_before_anything_starts(data_dir: Path) -> None:
    postgres.start(data_dir, durable=False)
    postgres.stop(data_dir)
    (data_dir / "password").unlink()
    with pytest.raises(EnvironmentRefused, match=r"password .* cannot be read.*Restore that file"):
        postgres.start(data_dir, durable=False)


def test_an_unusable_folder_is_named_with_the_remedy(session_home: Path) -> None:
    a_file = session_home / f"file-{os.getpid()}"
    a_file.touch()
    with pytest.raises(EnvironmentRefused, match=r"cannot be used .*set FKS_HOME"):
        postgres.start(a_file / "postgres")


def test_a_full_disk_is_named_before_anything_is_written(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_data, "FREE_BYTES_TO_START", 2**60)
    with pytest.raises(EnvironmentRefused, match=r"Only \d+ MB are free .*set FKS_HOME"):
        postgres.start(data_dir)
    assert not (data_dir / "cluster").exists()


def test_a_start_that_fails_shows_the_servers_own_words(data_dir: Path) -> None:
    postgres.start(data_dir, durable=False)
    postgres.stop(data_dir)
    with (data_dir / "cluster" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EnvironmentRefused, match=r"did not start on .*\s.*no_such_setting"):
        postgres.start(data_dir, durable=False)


def test_a_stopped_server_is_a_retryable_error(data_dir: Path) -> None:
    server = postgres.start(data_dir, durable=False)
    postgres.stop(data_dir)
    with pytest.raises(DatabaseUnavailable, match=str(server.port)):
        server.ensure_database("x")


@as_root
def test_root_whose_folder_nobody_may_enter_gets_a_working_server_elsewhere(data_dir: Path) -> None:
    data_dir.parent.mkdir()
    data_dir.parent.chmod(0o700)
    server = postgres.start(data_dir, durable=False)
    assert (data_dir / "cluster").is_symlink()
    assert postmaster(server).username() != "root"
    assert postgres.start(data_dir).adopted
    assert ask(server, "SELECT 1") == 1


@as_root
def test_an_ordinary_user_runs_the_server_itself(data_dir: Path) -> None:
    nobody = postgres_programs.Account("nobody", 65534, 65534)
    if not postgres_programs.can_enter(Path(psycopg2.__file__).parent, nobody):
        pytest.skip("the account nobody cannot enter this environment")
    data_dir.parent.mkdir()
    shutil.chown(data_dir.parent, "nobody")
    program = (
        "import os, sys, pathlib\n"
        "from deployments import postgres\n"  # before: the interpreter's own folder may be closed to others
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "server = postgres.start(folder); server.ensure_database('x'); print(postgres.stop(folder))"
    )
    answer = subprocess.run([sys.executable, "-c", program, str(data_dir)], capture_output=True, text=True, check=False)
    assert (answer.stdout.strip(), answer.stderr) == ("True", "")
    assert (data_dir / "cluster").owner() == "nobody"
