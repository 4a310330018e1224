"""`fks backtest`: test a strategy on stored candles, and show what it would have earned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Engine

from deployments import postgres
from deployments.databases import OURS
from lib.adapters.database.engine import make_engine
from lib.adapters.database.history import DatabaseHistory
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.strategies import DatabaseStrategies
from lib.code_version import find_code_version
from lib.errors import EnvironmentRefused, OperatorError
from lib.ports import Clock
from lib.reporting.backtest_page import render_backtest
from lib.reporting.backtest_tables import (
    TRADE_HEADS,
    describe_parameters,
    describe_rules,
    describe_title,
    list_measures,
    list_trade_rows,
)
from lib.reporting.pages import BACKTESTS
from lib.reporting.search_chapter import Chapter, draw_chapter
from lib.research.backtest import Backtest
from lib.research.look_ahead import Show
from lib.research.rules import TradingRules
from lib.research.trades import list_trades
from lib.settings import Settings
from lib.tasks.research import Request, Stores, make_rules, run_one
from lib.tasks.searching import plan_of, search_here

SHOWN_TRADES = 10


def run(
    request: Request,
    changes: Mapping[str, object],
    settings: Settings,
    clock: Clock,
    page: Path | None,
    console: Console,
    *,
    is_searched: bool = False,
) -> None:
    """Test, write the page, and show measures and the last trades.

    Args:
        request: What is to be tested.
        changes: Of the settings' costs and sizes, by the field of `TradingRules`.
        settings: The operator's.
        clock: Now.
        page: Where the page is written; None means the home's folder of backtests.
        console: Where it is shown.
        is_searched: Search the parameters on the same symbols and days too.

    Raises:
        FksError: As `run_one`, or `search_here`; or the database does not run, or the page cannot be written.
    """
    with stored_data(settings) as engine, showing_progress(console) as show:
        stores = Stores(DatabaseHistory(engine), DatabaseStrategies(engine), DatabaseMarketFacts(engine))
        rules: TradingRules = replace(make_rules(stores, settings, request.symbols), **changes)  # type: ignore[arg-type]  # by field
        done = run_one(request, stores, settings, clock, rules, show)
        searched = search_here(request, stores, settings, clock, rules, show) if is_searched else None
        show(0, 1, "writing the page")
        chapter, flaws = draw_chapter(searched, plan_of(settings)) if searched else (None, [])
        home = settings.home.expanduser().absolute()
        path = write_page(done, page or home / BACKTESTS / name_page(done), chapter)
    show_backtest(done, console)
    if chapter:
        show_search(chapter, console)
    for flaw in flaws:
        console.print(f"[yellow]![/yellow] {escape(flaw)}")
    console.print(f"[cyan]•[/cyan] {escape(str(path))}", soft_wrap=True)


@contextmanager
def stored_data(settings: Settings) -> Iterator[Engine]:
    """Give an engine on the database of FKS_DATABASE_URL, else of the running stack.

    Raises:
        EnvironmentRefused: There is neither.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
    else:
        home = settings.home.expanduser().absolute()
        server = postgres.find_running(home / "postgres")
        if server is None:
            raise EnvironmentRefused(
                f"No database runs in {home}. Start the stack with `fks up`, or name a server by FKS_DATABASE_URL."
            )
        url = server.url(OURS)
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def showing_progress(console: Console) -> Iterator[Show]:
    """Give a function that shows what is done, on a terminal as a bar that vanishes at the end."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("beginning", total=None)
        yield lambda done, total, what: progress.update(task, completed=done, total=total, description=what)


def parse_changes(given: Sequence[str]) -> dict[str, str]:
    """Return parameters of ``name=value`` texts.

    Raises:
        OperatorError: One has another form.
    """
    pairs = [one.partition("=") for one in given]
    if wrong := [one for one, (name, sign, value) in zip(given, pairs, strict=True) if not (name and sign and value)]:
        raise OperatorError(f"Expected parameters as name=value, was {', '.join(wrong)}. Write --set channel=30.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def name_page(done: Backtest) -> str:
    """Return a file's name: the same for the same strategy, symbols and timeframe."""
    symbols = "-".join(symbol.replace("/", "") for symbol in done.candles.symbols[:4])
    more = f"-and-{len(done.candles.symbols) - 4}-more" if len(done.candles.symbols) > 4 else ""
    return f"{done.strategy.name}-{symbols}{more}-{done.candles.timeframe}.html"


def write_page(done: Backtest, path: Path, chapter: Chapter | None = None) -> Path:
    """Write the page and return where.

    Raises:
        EnvironmentRefused: It cannot be written there.
    """
    page = render_backtest(done, find_code_version(), chapter)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page)
    except OSError as error:
        raise EnvironmentRefused(
            f"{path} cannot be written ({error.strerror}). Name another file by --page."
        ) from error
    return path


def show_search(chapter: Chapter, console: Console) -> None:
    """Show what was tried, and how much of the best is chance."""
    line = chapter.line
    title = f"{line.tried} parameters tried"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    for name, told in (
        ("out of sample", line.out_of_sample),
        ("these, same days", line.in_force),
        ("best, training days", line.train),
        ("best, last day", line.previous_day),
        ("deflated Sharpe", line.deflated_sharpe),
        ("overfitting", line.overfitting),
    ):
        table.add_row(name, told)
    console.print(table)
    console.print(escape(chapter.verdict))


def show_backtest(done: Backtest, console: Console) -> None:
    """Show measures, the last trades, and what a reader should know."""
    console.rule(f"[bold]{escape(describe_title(done))}[/bold]", align="left")
    console.print(escape(describe_parameters(done.strategy)), style="dim")
    console.print(escape(describe_rules(done.rules)), style="dim")
    measures = Table("", "account", "bought and held", box=None, pad_edge=False)
    for column in measures.columns[1:]:
        column.justify = "right"
    for row in list_measures(done):
        measures.add_row(*row)
    console.print(measures)
    trades = list_trades(done.simulation.trades, done.candles)
    if trades:
        table = Table(
            title=f"The last of {len(trades):,} trades",
            title_justify="left",
            box=None,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for head in TRADE_HEADS:
            table.add_column(head, no_wrap=True)
        for cells in list_trade_rows(trades[-SHOWN_TRADES:], "%m-%d %H:%M"):
            table.add_row(*cells)
        console.print(table)
    for note in [*([done.why_no_trade] if done.why_no_trade else []), *done.notes]:
        console.print(f"[yellow]![/yellow] {escape(note)}")
