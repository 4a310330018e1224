"""A platform as it is deployed on several machines: a server with a login, `fks apply`, two workers, one of which dies.

The programs are those of the containers, with every secret in one file that only its owner may read.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg2
import pytest
from packaging.version import Version
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from sqlalchemy.engine import make_url

from deployments import postgres
from deployments.halting import load_halt
from deployments.prefect_api import PrefectApi
from deployments.processes import Child
from deployments.restoring import save_halt
from deployments.server_check import check_server, check_version
from deployments.specification import load_prefect_file
from lib.adapters.database.engine import make_engine
from lib.errors import EnvironmentRefused, SettingsError
from lib.execution.halt import VARIABLE, parse_halt
from lib.settings import ENV_FILE, PROJECT_ROOT, load_settings
from lib.tasks.market import sync_market_data
from lib.tasks.portfolio import update_positions
from lib.wiring import open_platform
from tests.platforms import World
from tests.prefect_servers import free_port, wait_until
from tests.simulators import API_KEY, running_simulator
from tests.webhooks import run_webhooks

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("production"), pytest.mark.timeout(480)]

LOGIN = "fks:l0gin-of-the-prefect-server"
# Each chain, and the table that its own work writes: a lock there stops it in the middle of a transaction.
CHAINS = {
    "critical-path/every-5-minutes": "notifications",
    "signal-generation/every-15-minutes": "signals",
    "market-analysis/every-30-minutes": "risk_snapshots",
    "portfolio-optimization/6am": "rebalance_plans",
}
SETTINGS = {
    "FKS_HISTORY_DAYS": '{"5m":1,"1h":20}',
    "FKS_MAINS": '["BTC","ETH"]',
    "FKS_ALTS": '["SOL","LINK"]',
    "FKS_CLOCK_OFFSET_ALERT_MS": "600000",
}


@dataclass(frozen=True)
class Production:
    """The programs of one platform.

    Attributes:
        world: Exchange, channel and database.
        env: Environment of each program; what is secret is in the file that it names.
        api_url: The Prefect server.
    """

    world: World
    env: dict[str, str]
    api_url: str
    folder: Path

    @property
    def api(self) -> PrefectApi:
        return PrefectApi(self.api_url, LOGIN)

    def fks(self, *arguments: str, **changes: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "deployments", *arguments]
        env = {**self.env, "COLUMNS": "500", **changes}
        done = subprocess.run(command, env=env, cwd=self.folder, capture_output=True, text=True, check=False)
        return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)

    @contextmanager
    def program(self, name: str, *arguments: str) -> Iterator[Child]:
        """Run `fks` with these arguments until the end of the block, where SIGTERM must end it.

        It is started as in the background of a script, where SIGINT is ignored.
        """
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "deployments", *arguments]
        child = Child(name, command, self.env, self.folder / f"{name}.log")
        child.start()
        try:
            yield child
            if child.process is not None and child.exit_code is None:
                child.process.terminate()
                child.process.wait(60)
        finally:
            child.stop(10)

    def start_runs(self) -> list[str]:
        """Start a run of every chain."""
        with self.api as api:
            found = [api.find_deployment(*chain.split("/")) for chain in CHAINS]
            return [api.start_run(deployment) for deployment in found if deployment]

    def are_over(self, runs: list[str]) -> bool:
        with self.api as api:
            return all(api.load_run(run).is_over for run in runs)


@pytest.fixture(scope="module")
def production(database_server: postgres.Server, session_home: Path) -> Iterator[Production]:
    """Database, Prefect server with a login, everything applied; no worker, and no schedule that starts runs."""
    folder = Path(tempfile.mkdtemp(prefix="production-", dir=session_home))
    name, port = f"production_{uuid4().hex}", free_port()
    database_server.ensure_database(name)
    with running_simulator() as simulator, run_webhooks() as webhooks:
        secrets = {
            "FKS_DATABASE_URL": database_server.url(name),
            "FKS_CHANNELS__TEAM__URL": webhooks.url,
            "PREFECT_API_AUTH_STRING": LOGIN,
        }
        write_secrets(folder / "fks.env", secrets)
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("FKS_", "PREFECT_"))}
        env = (
            clean
            | SETTINGS
            | {
                ENV_FILE: str(folder / "fks.env"),
                "FKS_HOME": str(folder / "home"),
                "FKS_EXCHANGE_URL": simulator.url,
                "FKS_PREFECT_PORT": str(port),
                "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
                "PREFECT_UI_URL": "https://fks.example.org/",
                "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
            }
        )
        made = Production(World(simulator, webhooks, database_server.url(name)), env, env["PREFECT_API_URL"], folder)
        with made.program("server", "server") as server, made.api as api:
            wait_until(f"the server is healthy; see {server.log}", lambda: api.is_healthy() or server.exit_code, 180)
            code, said = made.fks("apply")
            assert code == 0, said
            yield made
    for database in (name, f"{name}_prefect"):
        database_server.drop_database(database)
    shutil.rmtree(folder, ignore_errors=True)


def write_secrets(path: Path, secrets: dict[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))


def test_the_api_answers_nobody_without_the_login_but_whether_it_is_well(production: Production) -> None:
    def ask(method: str, path: str, login: tuple[str, str] | None = None) -> int:
        body: dict[str, str] | None = None if method == "GET" else {}
        url = f"{production.api_url}{path}"
        return httpx.request(method, url, auth=login, json=body, trust_env=False).status_code

    assert ask("GET", "/health") == ask("GET", "/ready") == 200
    closed = [("POST", "/flow_runs/filter"), ("POST", "/variables/"), ("GET", "/admin/version")]
    assert [ask(*one) for one in closed] == [401] * len(closed)
    assert ask("POST", "/flow_runs/filter", ("fks", "wrong")) == 401
    user, _, password = LOGIN.partition(":")
    assert ask("POST", "/flow_runs/filter", (user, password)) == 200


def test_the_ui_is_served_from_a_folder_of_its_own_and_asks_for_the_login(production: Production) -> None:
    ui = production.api_url.removesuffix("/api")
    settings = httpx.get(f"{ui}/ui-settings", trust_env=False).raise_for_status().json()
    assert (settings["api_url"], settings["auth"]) == ("https://fks.example.org/api", "BASIC")
    assert "<html" in httpx.get(ui, follow_redirects=True, trust_env=False).raise_for_status().text
    assert list((production.folder / "home" / "prefect" / "ui").iterdir())


def test_commands_have_the_login_from_the_file_of_settings(production: Production) -> None:
    code, said = production.fks("halt", "prices look wrong")
    assert (code, "People are told by a run" in said) == (0, True), said
    assert "Trading is HALTED: prices look wrong" in production.fks("status")[1]
    assert production.fks("release")[0] == 0


WRONG_SERVERS: dict[str, tuple[dict[Any, str], type[Exception], str]] = {
    "login": ({PREFECT_API_AUTH_STRING: "fks:wr0ng"}, SettingsError, "refuses us (401). Set PREFECT_API_AUTH_STRING"),
    "down": ({PREFECT_API_URL: "http://127.0.0.1:1/api"}, EnvironmentRefused, "does not answer"),
    "none": ({PREFECT_API_URL: "{simulator}/api"}, SettingsError, "There is no Prefect API at"),
}


@pytest.mark.parametrize("case", WRONG_SERVERS)
def test_what_is_wrong_with_a_server_is_said_with_the_remedy(production: Production, case: str) -> None:
    changes, error, expected = WRONG_SERVERS[case]
    right = {PREFECT_API_URL: production.api_url, PREFECT_API_AUTH_STRING: LOGIN}
    simulator = production.world.simulator.url
    wrong = {name: value.format(simulator=simulator) for name, value in changes.items()}
    with temporary_settings(right):
        asyncio.run(check_server())
    with temporary_settings(right | wrong), pytest.raises(error, match=re.escape(expected)) as raised:
        asyncio.run(check_server())
    assert "wr0ng" not in str(raised.value)


@pytest.mark.parametrize("version", ["3.7.9", "2.20.1", "4.0.0"])
def test_a_server_that_is_older_or_of_another_major_version_is_refused(version: str) -> None:
    with pytest.raises(EnvironmentRefused, match=re.escape(f"is version {version}; flows and workers here use 3.8.8")):
        check_version(Version(version), Version("3.8.8"))
    check_version(Version("3.9.0"), Version("3.8.8"))


def test_both_databases_are_restored_on_another_server_with_trading_halted(
    production: Production, database_server: postgres.Server
) -> None:
    code, said = production.fks("backup", "--folder", str(production.folder / "backups"))
    assert (code, "fks, prefect" in said) == (0, True), said
    (backup,) = (production.folder / "backups").iterdir()
    copy = make_url(production.world.database_url).set(database=f"copy_{uuid4().hex}")
    theirs = str(copy.set(database=f"{copy.database}_prefect").render_as_string(hide_password=False))
    try:
        code, said = production.fks("restore", str(backup), FKS_DATABASE_URL=copy.render_as_string(hide_password=False))
        assert (code, "Trading is halted" in said) == (0, True), said
        with psycopg2.connect(theirs) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT value FROM variable WHERE name = 'trading_halted'")
            [[value]] = cursor.fetchall()
            cursor.execute("SELECT count(*) FROM deployment")
            [[deployments]] = cursor.fetchall()
        connection.close()
    finally:
        for database in (str(copy.database), f"{copy.database}_prefect"):
            database_server.drop_database(database)
    assert deployments == len(load_prefect_file(PROJECT_ROOT / "prefect.yaml").deployments)
    halt = parse_halt(value)
    assert halt is not None
    assert "restored from the backup of" in halt.reason
    with_prefect = f"{production.world.database_url}_prefect"
    with psycopg2.connect(with_prefect) as connection, connection.cursor() as cursor, production.api as api:
        save_halt(cursor, halt)  # the server reads what is written past it
        connection.commit()
        assert load_halt(api) == halt
        api.delete_variable(VARIABLE)
    connection.close()


def test_what_a_machine_was_doing_when_it_died_another_one_does_once(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = production.world
    asyncio.run(fill(production, monkeypatch))
    world.let_stop_trigger("SOL/USDT")
    lift_limits(production)
    tables = sorted(CHAINS.values())
    told = len(world.webhooks.messages)

    with psycopg2.connect(world.database_url) as gate, gate.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
        with production.program("dies", "worker", "--name", "dies", "--no-warm") as dies:
            killed = production.start_runs()
            wait_until(f"each chain is at work; see {dies.log}", lambda: find_waiting(world) == tables, 180)
            kill_machine(dies)
    gate.close()
    for table in tables:
        assert world.query(f"SELECT count(*) FROM {table}") == [(0,)], table

    with production.program("lives", "worker", "--name", "lives", "--no-warm") as lives:
        runs = production.start_runs()
        wait_until(f"the other worker has done it; see {lives.log}", lambda: production.are_over(runs), 180)
    with production.api as api:
        assert {run.state for run in map(api.load_run, runs)} == {"Completed"}, lives.log.read_text()
        assert {api.load_run(run).state for run in killed} <= {"Running", "Crashed"}  # when heartbeats are missed
    texts = [post.content for post in world.webhooks.messages[told:] if not post.files]  # pictures come behind them
    for title in ("Stop loss triggered", "Rebalancing recommended"):
        (text,) = [text for text in texts if title in text]
        assert "https://fks.example.org/runs/flow-run/" in text
    assert world.query("SELECT account, state FROM rebalance_plans") == [("demo", "proposed")]
    assert world.query("SELECT count(*) FROM risk_snapshots") == [(1,)]
    [[signals, distinct]] = world.query(
        "SELECT count(*), count(DISTINCT (strategy, symbol, timeframe, opened_at)) FROM signals"
    )
    assert signals == distinct > 0
    fills = world.query("SELECT account, symbol, fill_id FROM fills")
    books = world.simulator.control.request("GET", "/books")
    assert len(fills) == len(set(fills)) == len(books["accounts"][API_KEY]["trades"])


async def fill(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch candles and positions, as the first critical path does."""
    with monkeypatch.context() as patch:
        for name, value in production.env.items():
            if name.startswith("FKS_"):
                patch.setenv(name, value)
        settings = load_settings()
    engine = make_engine(production.world.database_url)
    async with open_platform(engine, settings) as platform:
        await sync_market_data(platform)
        await update_positions(platform)
    engine.dispose()


def lift_limits(production: Production) -> None:
    """Let the killed runs' places not be waited for: they are given back when their heartbeats are missed."""
    user, _, password = LOGIN.partition(":")
    with httpx.Client(base_url=production.api_url, auth=(user, password), trust_env=False) as client:
        queue = client.get("/work_pools/fks/queues/default").raise_for_status().json()
        client.patch(f"/work_queues/{queue['id']}", json={"concurrency_limit": 20}).raise_for_status()


def find_waiting(world: World) -> list[str]:
    """Return the tables that somebody waits to write."""
    return [
        name
        for (name,) in world.query(
            "SELECT DISTINCT relation::regclass::text FROM pg_locks WHERE NOT granted AND relation IS NOT NULL "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1"
        )
    ]


def kill_machine(worker: Child) -> None:
    """Kill the worker, then all it started, as a power cut does: nothing can react or report."""
    assert worker.process is not None
    family = [worker.process, *worker.process.children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(family, 10)
