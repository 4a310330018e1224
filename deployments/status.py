"""`fks status`: what runs, whether trading is halted, and what is under way. What cannot be read is named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.markup import escape

from deployments import halting, home, postgres
from deployments.databases import OURS
from deployments.display import Display, render_deployments, render_facts
from deployments.environment import find_login
from deployments.health_view import render_table, show_health
from deployments.prefect_api import PrefectApi, ServerSilent
from deployments.specification import TAG
from lib.adapters.database.engine import make_engine
from lib.adapters.database.trading_overview import MOST_MESSAGES, OpenOrder, TradingOverview, load_trading_overview
from lib.errors import FksError, SettingsError
from lib.results import render_count
from lib.settings import Settings
from lib.units import format_money

MOST_SHOWN = 5  # messages; the others are counted


def show_status(settings: Settings, folder: Path, display: Display) -> bool:
    """Show everything, and return whether the whole stack runs.

    Args:
        settings: For the database, where it is not the stack's own.
        folder: Home of the stack.
        display: Where it is shown.
    """
    now = datetime.now(UTC)
    runs = _show_stack(folder, display, now)
    _show_health(settings, folder, display, now)
    _show_halt(folder, display)
    _show_trading(settings, folder, display, now)
    return runs


def _show_stack(folder: Path, display: Display, now: datetime) -> bool:
    record = home.load_record(folder)
    if record is None:
        display.note(f"Nothing runs in {folder}. `fks up` starts it.")
        return False
    processes = {"fks up": record.supervisor, **record.children}
    alive = {name: process.find() is not None for name, process in processes.items()}
    facts = [(name, f"pid {processes[name].pid}" if lives else "not running") for name, lives in alive.items()]
    display.console.print(render_facts([*facts, ("Prefect UI", record.ui_url), ("PostgreSQL", record.postgres)]))
    with PrefectApi(f"{record.ui_url}/api", find_login()) as api:
        if healthy := api.is_healthy():
            display.console.print(render_deployments(api.load_deployments(TAG), now))
    if not alive["fks up"]:
        display.warn("`fks up` was killed; what it started is not watched. `fks up` takes over, `fks stop` stops it.")
    return healthy and all(alive.values())


def _show_health(settings: Settings, folder: Path, display: Display, now: datetime) -> None:
    database = find_database(settings, folder)
    try:
        with PrefectApi(halting.find_server(folder), find_login()) as api:
            show_health(settings, api, database, display, now)
    except SettingsError:
        show_health(settings, None, database, display, now)


def _show_halt(folder: Path, display: Display) -> None:
    try:
        server = halting.find_server(folder)
        with PrefectApi(server, find_login()) as api:
            halt, waiting = halting.load_halt(api), api.load_suspended(TAG)
    except SettingsError:
        display.note("Whether trading is halted cannot be read: no Prefect server runs. No order is sent either.")
        return
    except ServerSilent as error:
        display.warn(f"Whether trading is halted cannot be read, and no order is sent meanwhile: {error}")
        return
    if halt is None:
        display.note("Trading is not halted.")
    else:
        display.warn(f"Trading is HALTED: {halt.describe()}. `fks release` lets orders be sent again.")
        display.note("Protective orders that rest on the exchange stay there, and sell.")
    for name, page in waiting:
        display.warn(f"A run waits for an answer in its form: {name} ({server.removesuffix('/api')}{page})")


def _show_trading(settings: Settings, folder: Path, display: Display, now: datetime) -> None:
    try:
        url = find_database(settings, folder)
        if url is None:
            display.note("Orders, plans, breaks and messages cannot be read: their database does not run.")
            return
        engine = make_engine(url)
        try:
            overview = load_trading_overview(engine, now)
        finally:
            engine.dispose()
    except FksError as error:
        display.warn(f"Orders, plans, breaks and messages cannot be read: {error}")
        return
    wanted = {name for name, account in settings.effective_accounts.items() if account.protective_orders}
    _show_overview(overview, display, now, wanted)


def find_database(settings: Settings, folder: Path) -> str | None:
    """Return the URL of our database: the setting's, else the running embedded one's; None where that does not run."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = postgres.find_running(folder / "postgres")
    return server.url(OURS) if server else None


def _show_overview(overview: TradingOverview, display: Display, now: datetime, protected: Collection[str] = ()) -> None:
    """Show what is under way; `protected` names the accounts that want protective orders."""
    orders, plans = _list_orders(overview, now), _list_plans(overview, now)
    exits = _list_exits(overview, now)
    breaks, findings = _list_breaks(overview, now), _list_findings(overview, now)
    columns = ("account", "open order", "age", "what", "filled", "plan", "name")
    _show_table(display, "Open orders", columns, orders)
    _show_table(display, "Rebalance plans", ("account", "plan", "state", "age", "progress"), plans)
    protections = _list_protections(overview, now, protected)
    headers = ("account", "position", "protected by", "since", "note")
    _show_table(display, "Stop losses on the exchange", headers, protections)
    columns = ("account", "position", "since", "why", "policy", "state", "note")
    _show_table(display, "Positions to be sold", columns, exits)
    _show_table(display, "Breaks (say with classify-break what they are)", ("account", "break", "worth", "age"), breaks)
    _show_table(display, "Orders that differ from the exchange's", ("account", "kind", "age", "what", "name"), findings)
    if not (orders or plans or exits or breaks):
        display.note("No open order, no open rebalance plan, no position to be sold, no break.")
    _show_table(display, "Newest reports", ("report", "age", "what", "page"), _list_reports(overview, now))
    _show_messages(overview, display, now)


def _list_orders(overview: TradingOverview, now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            one.account,
            one.state,
            render_age(now - one.created_at),
            f"{one.side} {one.quantity.normalize():f} {one.symbol}{_describe_prices(one)}",
            f"{one.executed.normalize():f}",
            one.plan,
            one.client_order_id,
        )
        for one in overview.orders
    ]


def _describe_prices(one: OpenOrder) -> str:
    limit = f" at {one.limit_price.normalize():f}" if one.limit_price is not None else ""
    return f" when at {one.stop_price.normalize():f},{limit}" if one.stop_price is not None else limit


def _list_protections(overview: TradingOverview, now: datetime, protected: Collection[str]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in overview.protections:
        if not one.is_live and one.account not in protected:
            continue
        stop = f"stop {one.stop_loss.normalize():f}" if one.stop_loss is not None else "stop"
        target = f", target {one.take_profit.normalize():f}" if one.take_profit is not None else ""
        quantity = f" of {one.quantity.normalize():f}" if one.quantity is not None else ""
        by = f"{stop}{target}{quantity}" if one.is_live else "nothing"
        since = render_age(now - one.since) if one.since is not None and one.is_live else ""
        rows.append((one.account, one.symbol, by, since, one.note if one.is_live else one.refusal))
    return rows


def _list_plans(overview: TradingOverview, now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            one.account,
            f"plan {one.plan_id} ({one.plan_hash[:8]})",
            "waits for approval" if one.state == "proposed" and one.is_asked else one.state,
            render_age(now - one.created_at),
            f"{one.legs - one.left} of {render_count(one.legs, 'legs')} settled",
        )
        for one in overview.plans
    ]


def _list_exits(overview: TradingOverview, now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            one.account,
            one.symbol,
            render_age(now - one.wanted_at),
            one.kind.replace("_", " "),
            one.policy,
            f"{one.state} ({render_count(one.attempts, 'runs')})",
            one.note,
        )
        for one in overview.exits
    ]


def _list_breaks(overview: TradingOverview, now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            one.account,
            f"{one.difference.normalize():+f} {one.asset}",
            "unknown" if one.value_quote is None else format_money(one.value_quote, one.quote_asset),
            render_age(now - one.first_seen_at),
        )
        for one in overview.breaks
    ]


def _list_findings(overview: TradingOverview, now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            one.account,
            one.kind.replace("_", " "),
            render_age(now - one.first_seen_at),
            f"{one.side} {one.quantity.normalize():f} {one.symbol}",
            " ".join(name for name in (one.order_id, one.client_order_id) if name),
        )
        for one in overview.findings
    ]


def _list_reports(overview: TradingOverview, now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            one.kind,
            render_age(now - one.created_at),
            f"{one.headline}{' (parts are missing)' if one.is_flawed else ''}",
            one.path or "could not be written",
        )
        for one in overview.reports
    ]


def _show_table(display: Display, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    display.console.print(render_table(title, columns, rows))


def _show_messages(overview: TradingOverview, display: Display, now: datetime) -> None:
    messages = overview.messages
    if not messages:
        display.note("No message of the last three days is undelivered.")
        return
    count = render_count(len(messages), "messages")
    more = " at least" if len(messages) == MOST_MESSAGES else ""
    display.warn(f"Nobody has been told of {count}{more}:")
    for one in messages[:MOST_SHOWN]:
        reasons = f" ({'; '.join(one.errors)})" if one.errors else ""
        display.console.print(escape(f"  {one.severity}, {render_age(now - one.created_at)} old: {one.title}{reasons}"))


def render_age(age: timedelta) -> str:
    """Render ``40 s``, ``12 min``, ``5 h`` or ``3 days``, cut to the unit."""
    seconds = max(0, int(age.total_seconds()))
    for unit, width in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * width:
            return f"{seconds // width} {unit}"
    return f"{seconds} s"
