"""`fks backup` and `fks restore`: which databases they are about, and what people are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from deployments import home, postgres
from deployments.backup import back_up, connect, load_manifest, remove_old
from deployments.databases import OURS, PREFECTS, make_embedded
from deployments.display import Display
from deployments.restoring import restore
from lib.settings import Settings


def back_up_databases(settings: Settings, folder: Path, keep: int, display: Display) -> None:
    """Take a backup, and remove old ones; raises as `back_up`."""
    with _open_databases(settings) as databases, display.step("Backup") as step:
        backup = back_up(databases, folder)
        rows = sum(sum(dump.rows.values()) for dump in load_manifest(backup).dumps.values())
        step.detail = f"{backup}: {', '.join(databases)}, {rows:,} rows"
    if PREFECTS not in databases:
        display.warn("The Prefect server's database is not beside yours: back it up where it is.")
    if keep:
        for old in remove_old(folder, keep):
            display.note(f"Removed {old}.")
    display.note("It has keys and passwords of blocks: keep it as secret as those. The archive's files are apart.")


def restore_databases(settings: Settings, backup: Path, display: Display) -> None:
    """Restore a backup while nothing runs; raises as `restore`, and `AlreadyRunning`."""
    with (
        home.locked_home(settings.home.expanduser().absolute()),
        _open_databases(settings, make=True) as databases,
        display.step("Restore") as step,
    ):
        restored = restore(backup, databases)
        step.detail = ", ".join(f"{name} {count:,} rows" for name, count in restored.rows.items())
    for name in restored.kept:
        display.note(f"What was there before is now the database {name}; drop it when you no longer need it.")
    display.warn(f"What happened after {restored.taken_at:%Y-%m-%d %H:%M} UTC is unknown to it, also orders.")
    display.warn(
        "Trading is halted: start, look at `reconcile` and the breaks, then `fks release`."
        if restored.is_halted
        else "The Prefect server was not restored: run `fks halt` before workers start, then compare and `fks release`."
    )


@contextmanager
def _open_databases(settings: Settings, *, make: bool = False) -> Iterator[dict[str, str]]:
    """Give the URL of each database by its name in a backup; the embedded server is started where it does not run."""
    if settings.database_url is not None:
        yield _find_external(settings.database_url.get_secret_value(), make=make)
        return
    folder = settings.home.expanduser().absolute() / "postgres"
    server = postgres.start(folder)
    try:
        make_embedded(server)
        yield {OURS: server.url(OURS), PREFECTS: server.url(PREFECTS)}
    finally:
        if not server.adopted:
            postgres.stop(folder)


def _find_external(url: str, *, make: bool) -> dict[str, str]:
    ours = make_url(url).set(drivername="postgresql")
    theirs = ours.set(database=f"{ours.database}_prefect")
    found = {OURS: ours.render_as_string(hide_password=False)}
    server = ours.set(database="postgres").render_as_string(hide_password=False)
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (theirs.database,))
        beside = bool(cursor.fetchall())
    return found | ({PREFECTS: theirs.render_as_string(hide_password=False)} if beside or make else {})
