"""Running the migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from lib.adapters.database.hypertables import ensure_hypertables

HEAD = "head"


def configure(url: str) -> Config:
    """Return Alembic's configuration for the database at `url`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url  # not a main option: those interpolate % and may be logged
    return config


def upgrade(url: str, revision: str = HEAD) -> None:
    """Bring the database at `url` to `revision`; safe to run twice, and by two processes at once.

    The newest one has hypertables where the server offers them; that is no revision, because servers change.
    """
    config = configure(url)
    command.upgrade(config, revision)
    if revision in (HEAD, ScriptDirectory.from_config(config).get_current_head()):
        ensure_hypertables(url)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` ("base" removes every table, and with it all data)."""
    command.downgrade(configure(url), revision)
