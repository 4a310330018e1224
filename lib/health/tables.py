"""The record as tables of words: the artifact and the terminal show the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from lib.archive.report import render_bytes
from lib.health.figures import HealthRecord, QueueState, ServerFigures, StoreFigures, TimeframeFigures
from lib.results import render_count
from lib.units import format_money

NEVER = "never"


class Table(NamedTuple):
    """A title, headings, and rows of as many words."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def list_tables(record: HealthRecord) -> list[Table]:
    """Return everything, what is out of bounds first."""
    server = record.server
    tables = [
        list_problems(record),
        *([] if server is None else [*list_state(server.state, record.at), list_tasks(server), list_flows(server)]),
        *list_store(record.store, record.at),
    ]
    return [table for table in tables if table.rows]


def list_problems(record: HealthRecord) -> Table:
    """Return what is out of bounds."""
    rows = [
        (one.key, one.what, _instant(one.since), one.remedy if not one.is_gone else "not in the newest figures")
        for one in record.problems
    ]
    return Table("Out of bounds", ("which", "what it is", "since (UTC)", "what to do"), rows)


def list_state(state: QueueState, now: datetime) -> list[Table]:
    """Return the queues and the workers."""
    queues = [
        (
            one.name + (" (paused)" if one.is_paused else ""),
            f"{one.waiting:,}",
            f"{one.running:,}",
            "any number" if one.at_once is None else f"{one.at_once:,}",
            _age(one.oldest_due_at, now) if one.oldest_due_at else "none",
        )
        for one in state.queues
    ]
    workers = [
        (one.name, "online" if one.is_online else "offline", f"{_age(one.seen_at, now)} ago") for one in state.workers
    ]
    headings = ("queue", "due, waiting", "running", "at once", "longest wait")
    return [
        Table(f"Queues of the pool (it is {state.pool.replace('_', ' ')})", headings, queues),
        Table("Workers", ("worker", "state", "seen"), workers),
    ]


def list_tasks(server: ServerFigures) -> Table:
    """Return how often each task ended and failed, and how long it took."""
    rows = [
        (
            one.task,
            one.speed.value,
            f"{one.ended:,}",
            f"{one.failed:,} ({one.failed_pct:.1f} %)" if one.failed else "0",
            _seconds(one.median_seconds),
            _seconds(one.p95_seconds),
            _seconds(one.longest_seconds),
        )
        for one in server.tasks
    ]
    headings = ("task", "class", "ended", "failed", "median", "95 % within", "longest")
    return Table(_title("Tasks", server), headings, rows)


def list_flows(server: ServerFigures) -> Table:
    """Return how often each flow ended, and how."""
    rows = [
        (
            one.flow,
            *(f"{count:,}" for count in (one.ended, one.failed, one.partial, one.skipped)),
            _seconds(one.median_seconds),
            _seconds(one.longest_seconds),
        )
        for one in server.flows
    ]
    headings = ("flow", "ended", "failed", "partial", "skipped", "median", "longest")
    return Table(_title("Flows", server), headings, rows)


def list_store(store: StoreFigures, now: datetime) -> list[Table]:
    """Return freshness, accounts, and what else the database tells."""
    headings = ("candles", "symbols", "newest, of the last symbol", "behind", "failing", "with gaps")
    accounts = [
        (
            one.account,
            "not yet" if one.equity is None else format_money(one.equity, one.quote_asset),
            _instant(one.at) if one.at else NEVER,
            f"{one.positions:,}",
            f"{one.trades:,}",
            format_money(one.traded_quote, one.quote_asset),
        )
        for one in store.accounts
    ]
    columns = ("account", "equity", "as of (UTC)", "open positions", "executions in 24 h", "traded")
    return [
        Table("Data", headings, [_to_row(one) for one in store.timeframes]),
        Table("Accounts", columns, accounts),
        Table("Platform", ("figure", "value", "note"), [*_list_sizes(store, now.date()), *_list_others(store, now)]),
    ]


def _to_row(one: TimeframeFigures) -> tuple[str, ...]:
    behind = "no candle yet" if one.behind is None else render_count(one.behind, "candles")
    newest = _instant(one.newest_at) if one.newest_at else NEVER
    return (
        one.timeframe,
        f"{one.series:,}",
        f"{newest} ({one.laggard})",
        behind if one.behind != 0 else "fresh",
        ", ".join(one.failing) or "none",
        f"{one.open_gaps:,}",
    )


def _list_sizes(store: StoreFigures, today: date) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in store.sizes:
        growth = one.find_growth(today)
        sign = "-" if growth is not None and growth < 0 else "+"
        note = "growth is measured every night" if growth is None else f"{sign}{render_bytes(abs(round(growth)))} a day"
        rows.append((f"database {one.name}", render_bytes(one.size_bytes), note))
    return rows


def _list_others(store: StoreFigures, now: datetime) -> list[tuple[str, ...]]:
    backlog, archive = store.backlog, store.archive
    oldest = f"the oldest is {_age(backlog.oldest_at, now)} old" if backlog.oldest_at else ""
    newest = f"{archive.rows:,} rows, up to {archive.month:%Y-%m}" if archive.month else "nothing yet"
    size = f"{render_count(archive.files, 'files')}, {render_bytes(archive.size_bytes)}"
    names = ", ".join(store.strategies)
    return [
        ("strategies that give signals", f"{len(store.strategies)} of {store.known_strategies}", names),
        ("messages waiting for a channel", f"{backlog.waiting:,}", oldest),
        ("messages that nobody got", f"{backlog.undelivered:,}", "of the last three days"),
        ("archive", size, newest),
    ]


def _title(what: str, server: ServerFigures) -> str:
    hours = (server.until - server.since) / timedelta(hours=1)
    some = "" if server.is_whole else "; there were more than are counted"
    return f"{what} of the {hours:g} hours up to {_instant(server.until)} UTC{some}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _age(at: datetime, now: datetime) -> str:
    seconds = max(0, int((now - at).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
