"""Every secret that settings can hold, while all that uses them fails: none is in what Prefect keeps or prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest
from psycopg2 import sql
from sqlalchemy.engine import make_url

from deployments.backup import connect, count_rows
from lib.settings import PROJECT_ROOT, AccountSettings, ChannelSettings, Settings
from tests.platforms import World, flow_environment
from tests.prefect_servers import PrefectServer
from tests.simulators import API_KEY, API_SECRET

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

SECRETS = {
    "FKS_ACCOUNTS__MAIN__API_KEY": "m4rkerOfTheKey",
    "FKS_ACCOUNTS__MAIN__API_SECRET": "m4rkerOfTheSecret",
    "FKS_CHANNELS__HOOK__URL": "json://user:m4rkerOfTheHook@127.0.0.1:1/m4rkerOfThePath",
    "FKS_CHANNELS__MAIL__URL": "mailto://user:m4rkerOfTheMail@127.0.0.1:1/?from=a@example.org&to=b@example.org",
    "FKS_CHANNELS__HOOK__TYPES": '["report"]',  # an urgent message waits for channels that are down
    "FKS_CHANNELS__MAIL__TYPES": '["report"]',
    "FKS_CHANNELS__WRONG__URL": "discord://m4rkerOfAWrongChannel",
    "FKS_NEWS_FEEDS": '{"paid": "http://user:m4rkerOfTheFeed@127.0.0.1:1/rss?token=m4rkerOfTheToken"}',
    "FKS_ARCHIVE_URL": "ftp://user:m4rkerOfTheArchive@127.0.0.1:1/fks",
}
MARKER = "m4rker"
# All in one process, as a worker's are; retries come at once: that they are made is tried, not the waiting.
PROGRAM = """
import asyncio, json, os
from prefect import Task
from pydantic import SecretStr
from deployments.apply import save_database_block
from flows import daily, market, on_demand, order_tasks, support, tasks
from lib.notifications.messages import MessageType

support.RETRY_SECONDS = (0, 0)
for module in (tasks, order_tasks, on_demand):
    for one in vars(module).values():
        if isinstance(one, Task):
            one.retry_delay_seconds = 0
runs = [
    (market.critical_path, {}),
    (market.signal_generation, {}),
    (market.news, {}),
    (daily.data_management, {}),
    (on_demand.reconcile, {}),
    (on_demand.send_notification, {"type": MessageType.REPORT, "message": "said by a person"}),
    (on_demand.open_position, {"account": "main", "symbol": "BTC/USDT", "quantity": 1}),
]
states = {}
for flow, given in runs:
    states[flow.name] = asyncio.run(flow(**given, return_state=True))
asyncio.run(save_database_block(SecretStr(os.environ.pop("GONE"))))
states["without a database"] = asyncio.run(market.critical_path(return_state=True))
print(json.dumps({name: [state.name, str(state.message), repr(state.data)] for name, state in states.items()}))
"""


def find_secret_fields(model: Any, prefix: str) -> set[str]:
    """Return the settings that are declared as secret."""
    return {f"{prefix}{name.upper()}" for name, one in model.model_fields.items() if "SecretStr" in str(one.annotation)}


def test_every_secret_of_the_settings_is_tried_here() -> None:
    declared = (
        find_secret_fields(Settings, "FKS_")
        | find_secret_fields(AccountSettings, "FKS_ACCOUNTS__MAIN__")
        | find_secret_fields(ChannelSettings, "FKS_CHANNELS__HOOK__")
    )
    assert declared - {"FKS_DATABASE_URL"} <= SECRETS.keys()  # that one is the block's, with a password of its own


def dump(url: str) -> dict[str, str]:
    """Return every row of every table as text."""
    found = {}
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        for table in count_rows(cursor):
            name = sql.Identifier(*table.split("."))
            cursor.execute(sql.SQL("SELECT coalesce(string_agg(one::text, E'\n'), '') FROM {} one").format(name))
            ((found[table],),) = cursor.fetchall()
    return found


@pytest.fixture
def marked(prefect_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Every secret is set, and what it opens refuses, is silent, or is gone."""
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__KIND", "live")
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_KEY", API_KEY)
    monkeypatch.setenv("FKS_ACCOUNTS__DEMO__API_SECRET", API_SECRET)
    monkeypatch.setenv("FKS_ACCOUNTS__MAIN__KIND", "live")
    monkeypatch.setenv("FKS_LOG_LEVEL", "DEBUG")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return prefect_world


def test_no_secret_is_in_anything_that_prefect_keeps_or_that_runs_print(
    marked: World, prefect_server: PrefectServer
) -> None:
    ours = make_url(marked.database_url)
    env = flow_environment(prefect_server) | {
        "GONE": ours.set(port=1).render_as_string(hide_password=False),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
    }
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=env, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    states = json.loads(done.stdout.splitlines()[-1])
    troubled = {name for name, (state, *_) in states.items() if state in ("Partial", "Failed")}
    assert troubled >= {"critical-path", "news", "data-management", "open-position", "without a database"}, states

    prefects = ours.set(database=f"prefect_{os.getpid()}").render_as_string(hide_password=False)
    kept = dump(prefects) | dump(marked.database_url) | {"stdout": done.stdout, "stderr": done.stderr}
    assert "lib.flows" in kept["public.log"]
    for secret in (MARKER, str(ours.password)):
        leaks = {name: show(text, secret) for name, text in kept.items() if secret in text}
        assert not leaks


def show(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 200) : at + 60]
