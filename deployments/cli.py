"""The command line program `fks`."""

from __future__ import annotations

import asyncio
import errno
import signal
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from deployments import environment, halting, home, postgres
from deployments.addresses import LOOPBACK, usual_addresses
from deployments.databases import OURS
from deployments.display import Display
from lib.errors import FksError, SettingsError
from lib.research.rules import Sizing
from lib.settings import PROJECT_ROOT, SIMULATOR, Settings, load_settings

STORAGE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
NOT_RUNNING = 3  # as `systemctl status` answers

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
display = Display()


@app.callback()
def fks() -> None:
    """Operations for crypto spot portfolios, on Prefect."""


def main() -> None:
    """Run the command line; what a person must mend is shown as one message, without a traceback."""
    try:
        environment.adopt_prefect_variables()
        app()
    except FksError as error:
        display.fail(str(error))
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        where = error.filename or "the home folder"
        display.fail(f"{where}: {error.strerror}. Free space or mend the rights, or set FKS_HOME to another folder.")
        raise SystemExit(1) from None


@app.command()
def up() -> None:
    """Start the whole stack, show what runs, and watch it until Ctrl-C."""
    from deployments.local import up  # the other commands need none of it

    up(load_settings(), display)


@app.command()
def demo() -> None:
    """Play four situations, from alert to book, in a stack of its own. Exit code 0 when all went as it must."""
    from deployments.demo.run import run_demo  # the other commands need none of it

    raise typer.Exit(run_demo(display))


@app.command()
def status() -> None:
    """Show what runs and what is under way: halt, orders, plans, breaks. Exit code 3 when the stack does not run."""
    from deployments.status import show_status  # the other commands need none of it

    settings = load_settings()
    if not show_status(settings, _home(settings), display):
        raise typer.Exit(NOT_RUNNING)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Look for why a task does not run or fails, why data is missing, why nobody is told. Exit code 1: findings."""
    from deployments.doctor.examination import (  # the other commands need none of it
        count_findings,
        examine,
        find_situation,
        print_report,
        render_json,
    )

    settings = load_settings()
    situation = find_situation(settings, _home(settings))
    examined = examine(situation)
    if as_json:
        print(render_json(examined, situation.now))
    else:
        print_report(examined, display.console)
    raise typer.Exit(1 if count_findings(examined) else 0)


@app.command()
def metrics(
    port: Annotated[int | None, typer.Option(help="Serve them at /metrics until Ctrl-C.", min=1, max=65535)] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
) -> None:
    """Print the platform's figures in Prometheus' format, or serve them."""
    from deployments.metrics import read_record, render_metrics, serve_metrics  # the other commands need none of it

    settings = load_settings()
    load = partial(read_record, settings, _home(settings))
    if port is None:
        print(render_metrics(load), end="")
        return
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    display.note(f"Metrics are served on http://{host}:{port}/metrics until Ctrl-C.")
    serve_metrics(load, host, port, stopping)


@app.command()
def halt(
    reason: Annotated[str, typer.Argument(help="Why; people and every refused order read it.")],
    by: Annotated[str | None, typer.Option(help="Who says so; else the user of this machine.")] = None,
) -> None:
    """Stop every order before it is sent, tell people, and say why. Alerts go on; resting orders stay."""
    halting.halt(_home(load_settings()), reason, by, display)


@app.command()
def release(
    by: Annotated[str | None, typer.Option(help="Who says so; else the user of this machine.")] = None,
) -> None:
    """Let orders be sent again after a halt, and tell people."""
    halting.release(_home(load_settings()), by, display)


@app.command()
def stop() -> None:
    """Stop the stack of this home, wherever it was started; also what a killed `fks up` left running."""
    folder = _home(load_settings())
    record = home.load_record(folder)
    with display.step("Stop the stack"):
        if record is not None and (supervisor := record.supervisor.find()):
            supervisor.send_signal(signal.SIGINT)  # as Ctrl-C there; on SIGTERM it tells people
            while record.supervisor.find():
                time.sleep(0.2)
        home.end_leftovers(folder)
        if (folder / "postgres").exists():
            postgres.stop(folder / "postgres")
    if record is not None:
        display.warn("Nothing watches stop losses, and nobody is alerted, until the next `fks up`.")


@app.command()
def check() -> None:
    """Check the settings: build the exchange's client, every account and every channel once. Nothing is connected."""
    from deployments.settings_check import check_settings  # imports ccxt

    settings = load_settings()
    if settings.exchange == SIMULATOR and settings.exchange_url is None:  # `fks up` starts one
        settings = settings.model_copy(update={"exchange_url": usual_addresses(settings).simulator_url})
    asyncio.run(check_settings(settings))
    display.note("The exchange, accounts and channels of the settings can be built.")


@app.command()
def test_message(
    channel: Annotated[str | None, typer.Argument(help="One channel's name; without it every channel.")] = None,
) -> None:
    """Send a test message through every channel, and show what each answered. Exit code 1 unless all took it."""
    from deployments.channel_trial import render_tried, try_channels  # imports ccxt and Apprise
    from lib.ports import SystemClock

    with display.step("Send a test message"):
        tried = try_channels(load_settings(), channel, SystemClock())
    display.console.print(render_tried(tried))
    raise typer.Exit(0 if all(one.is_delivered for one in tried) else 1)


@app.command()
def apply(
    project: Annotated[Path, typer.Option(help="Folder of prefect.yaml and of the flows.")] = PROJECT_ROOT,
    settle: Annotated[
        bool, typer.Option(help="End runs that a stopped stack left; only while no worker runs.")
    ] = False,
) -> None:
    """Set up the database's tables and the Prefect server of PREFECT_API_URL: pool, queues, blocks, deployments."""
    from deployments.apply import apply, find_server, settle_runs  # imports Prefect
    from deployments.migrating import bring_up
    from deployments.server_check import check_server
    from deployments.settings_check import check_settings  # imports ccxt

    settings = load_settings()
    ui_url, database_url = find_server(), _database_url(settings)
    asyncio.run(check_settings(settings))
    asyncio.run(check_server())
    bring_up(settings, database_url.get_secret_value())
    applied = asyncio.run(apply(settings, database_url, ui_url, project=project))
    settled = asyncio.run(settle_runs(datetime.now(UTC))) if settle else {}
    runs = "".join(f", {count} left runs {state}" for state, count in settled.items())
    print(f"{len(applied.deployments)} deployments, {len(applied.channels)} alert channels{runs}")


@app.command()
def server(
    host: Annotated[str, typer.Option(help="Address to listen on; other than loopback only with a login.")] = LOOPBACK,
) -> None:
    """Run a Prefect server alone, beside the database of FKS_DATABASE_URL, until SIGTERM."""
    from deployments.production import serve  # the other commands need none of it

    settings = load_settings()
    serve(settings, _home(settings), host)


@app.command()
def worker(
    name: Annotated[str | None, typer.Option(help="Its name in the UI; without it one of this machine.")] = None,
    health_port: Annotated[int, typer.Option(help="Answers /health there, by HTTP; 0: nowhere.", min=0, max=65535)] = 0,
    warm: Annotated[
        bool, typer.Option(help="Compile indicators and backtests meanwhile, or leave it to the runs that need them.")
    ] = True,
) -> None:
    """Run a worker alone: it takes runs of the Prefect server of PREFECT_API_URL, until SIGTERM."""
    from deployments.production import work  # the other commands need none of it
    from deployments.settings_check import check_settings  # imports ccxt

    settings = load_settings()
    asyncio.run(check_settings(settings))
    work(_home(settings), name, health_port, warm=warm)


@app.command()
def migrate(
    to: Annotated[str, typer.Option(help="A revision, as 0024; lower ones take tables back.")] = "head",
    lose_data: Annotated[bool, typer.Option(help="Take back also what holds data; make a backup first.")] = False,
) -> None:
    """Bring the tables of the database to this version of the code, or back to an older one's."""
    from deployments.migrating import migrate as bring

    settings = load_settings()
    display.note(bring(_find_database(settings), to, lose_data=lose_data))


@app.command()
def backup(
    folder: Annotated[
        Path | None, typer.Option(help="Where backups are kept; `backups` in the home if not given.")
    ] = None,
    keep: Annotated[int, typer.Option(help="Remove all but so many of them; 0: none.", min=0)] = 0,
) -> None:
    """Write both databases to a new folder, while everything runs."""
    from deployments.safekeeping import back_up_databases  # the other commands need none of it

    settings = load_settings()
    back_up_databases(settings, (folder or _home(settings) / "backups").absolute(), keep, display)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="The folder of one backup.", exists=True, file_okay=False)],
) -> None:
    """Put a backup in the place of the databases, while nothing runs; what is there now is renamed, trading halted."""
    from deployments.safekeeping import restore_databases  # the other commands need none of it

    restore_databases(load_settings(), backup.absolute(), display)


@app.command()
def simulator(
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 4280,
    seed: Annotated[int, typer.Option(help="The generated market is a function of it.")] = 1,
    symbols: Annotated[int, typer.Option(help="How many symbols; the first ten are Binance's.", min=1, max=500)] = 10,
    state: Annotated[
        Path | None, typer.Option(help="Folder that keeps the books over restarts; without it they are in memory.")
    ] = None,
    replay_folder: Annotated[
        Path | None, typer.Option(help="Recorded candles in place of a generated market.", exists=True, file_okay=False)
    ] = None,
    clock: Annotated[
        datetime | None, typer.Option(help="UTC instant of a clock that only the control API moves.")
    ] = None,
    weight_limit: Annotated[int, typer.Option(help="Request weight a minute.", min=1)] = 6000,
) -> None:
    """Run the exchange simulator alone: a Binance Spot REST server on loopback for any client."""
    from lib.simulator.server import SimulatorConfig, run  # the other commands need none of it

    config = SimulatorConfig(
        port=port,
        seed=seed,
        symbols_count=symbols,
        state_path=state,
        replay_folder=replay_folder,
        start_at=clock.replace(tzinfo=UTC) if clock else None,
        weight_limit_per_minute=weight_limit,
    )
    try:
        run(config)
    except ValueError as error:
        raise SettingsError(str(error)) from error


@app.command()
def backtest(
    strategy: Annotated[str, typer.Argument(help="Its name, as breakout.")],
    symbols: Annotated[list[str], typer.Argument(help="As BTC/USDT; several share one cash account.")],
    timeframe: Annotated[str | None, typer.Option(help="Of the candles; without it that of the signals.")] = None,
    days: Annotated[int, typer.Option(help="Of the window, up to now.", min=1)] = 365,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter in place of the one in force, as channel=30.")
    ] = None,
    sizing: Annotated[Sizing, typer.Option(help="By risk, as live signals; or all cash.")] = Sizing.RISK,
    cash: Annotated[float | None, typer.Option(help="What the account begins with.")] = None,
    fee_pct: Annotated[float | None, typer.Option(help="Of the notional, each side.")] = None,
    slippage_pct: Annotated[float | None, typer.Option(help="Of the price, each side.")] = None,
    page: Annotated[Path | None, typer.Option(help="The HTML file; without it one in the home's backtests.")] = None,
    search: Annotated[bool, typer.Option("--search", help="Search its parameters too; nothing is stored.")] = False,
) -> None:
    """Test a strategy on stored candles: measures, trades, and a page with the curves."""
    from deployments.backtesting import parse_changes, run  # imports numba and the database
    from lib.ports import SystemClock
    from lib.tasks.research import Request

    given = {
        "sizing": sizing,
        "cash": cash,
        "fee_ratio": None if fee_pct is None else fee_pct / 100,
        "slippage_ratio": None if slippage_pct is None else slippage_pct / 100,
    }
    names = [symbol.strip().upper() for symbol in symbols]
    request = Request(strategy, names, timeframe, days, parse_changes(parameters or []))
    changes = {name: value for name, value in given.items() if value is not None}
    run(request, changes, load_settings(), SystemClock(), page, display.console, is_searched=search)


def _home(settings: Settings) -> Path:
    return settings.home.expanduser().absolute()


def _find_database(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    running = postgres.find_running(_home(settings) / "postgres")
    if running is None:
        raise SettingsError("FKS_DATABASE_URL is not set, and no PostgreSQL of this home runs. `fks up` starts one.")
    return running.url(OURS)


def _database_url(settings: Settings) -> SecretStr:
    if settings.database_url is not None:
        return settings.database_url
    raise SettingsError("FKS_DATABASE_URL is not set. `fks up` sets it by itself; without it give your server's URL.")
