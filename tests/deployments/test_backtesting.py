"""`fks backtest`: what a person sees of a strategy on stored candles, and of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import Engine

from deployments.backtesting import parse_changes, run
from lib.adapters.database.copying import copy_upsert
from lib.adapters.database.engine import make_engine
from lib.adapters.database.strategies import DatabaseStrategies
from lib.adapters.database.tables.market import CANDLES
from lib.errors import FksError, OperatorError
from lib.settings import Settings, load_settings
from lib.strategy.roster import register_strategies
from lib.tasks.research import Request
from tests.deployments.test_cli import fks
from tests.portfolio.hand_exchange import HandClock
from tests.strategy.worlds import make_walk

NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
BARS = 2500
NEWEST = NOW.replace(minute=0) - timedelta(hours=1)


def store_candles(engine: Engine, symbols: list[str]) -> None:
    """Store a random walk of 1h candles up to the one that has just closed."""
    walk = make_walk(len(symbols), BARS)
    start = NEWEST - (BARS - 1) * timedelta(hours=1)
    names = ("open", "high", "low", "close")
    rows = [
        (
            symbol,
            "1h",
            start + bar * timedelta(hours=1),
            *(float(getattr(walk, name)[row, bar]) for name in names),
            1.0,
            None,
            None,
        )
        for row, symbol in enumerate(symbols)
        for bar in range(BARS)
    ]
    with engine.begin() as connection:
        copy_upsert(connection, CANDLES, rows)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    store_candles(engine, ["BTC/USDT", "ETH/USDT"])
    yield engine
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FKS_ENV_FILE", "")
    return load_settings(database_url=database_url, home=tmp_path / "home")


def test_a_person_may_search_the_parameters_too_and_nothing_is_stored(engine: Engine, settings: Settings) -> None:
    short = {"search_train_days": 30, "search_test_days": 10, "search_combinations": 12}
    console = Console(record=True, width=200, force_terminal=False)
    request = Request("breakout", ["BTC/USDT"], days=70)
    run(request, {}, settings.model_copy(update=short), HandClock(NOW), None, console, is_searched=True)
    shown = console.export_text()
    for words in ("12 parameters tried", "out of sample", "deflated Sharpe", "overfitting"):
        assert words in shown
    html = (settings.home / "backtests" / "breakout-BTCUSDT-1h.html").read_text()
    for picture in ("equity and drawdown", "train against test", "parameters tried"):
        assert f'<img alt="{picture}" src="data:image/webp;base64,' in html
    with engine.begin() as connection:
        for table in ("strategy_parameters", "backtest_runs"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def show(settings: Settings, request: Request, page: Path | None = None, **changes: Any) -> str:
    """Run the command in this process; returns what it showed."""
    console = Console(record=True, width=200, force_terminal=False)
    run(request, changes, settings, HandClock(NOW), page, console)
    return console.export_text()


def test_a_person_sees_measures_and_trades_and_gets_a_page(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    home = settings.home
    code, shown = fks(
        home,
        "backtest",
        "breakout",
        "btc/usdt",
        "--days",
        "90",
        "--set",
        "channel=30",
        FKS_DATABASE_URL=str(engine.url.render_as_string(hide_password=False)),
    )
    assert code == 0, shown
    page = home / "backtests" / "breakout-BTCUSDT-1h.html"
    assert str(page) in shown
    for words in ("breakout on BTC/USDT, 1h", "channel 30", "Sharpe", "max drawdown", "The last of", "fee 0.1 %"):
        assert words in shown
    html = page.read_text()
    for words in ("breakout on BTC/USDT, 1h", "data:image/png;base64,", "bought and held", "channel 30"):
        assert words in html
    assert "http" not in html.replace('lang="en"', "")  # it needs nothing from elsewhere


def test_the_costs_and_sizes_are_those_of_the_settings_unless_given(engine: Engine, settings: Settings) -> None:
    request = Request("mean_reversion", ["BTC/USDT", "ETH/USDT"], days=60)
    shown = show(settings.model_copy(update={"fee_pct": 2}), request, slippage_ratio=0.01, cash=500.0)
    assert "begins with 500; fee 2 % and slippage 1 % a side; 1 % of equity at risk a trade" in shown
    assert "mean_reversion on BTC/USDT, ETH/USDT, 1h" in shown


def test_parameters_are_those_in_force(engine: Engine, settings: Settings) -> None:
    store = DatabaseStrategies(engine)
    register_strategies(store, NOW)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE strategy_parameters SET parameters = jsonb_set(parameters::jsonb, '{channel}', '50') "
            "WHERE strategy = 'breakout'"
        )
    assert "channel 50, exit_channel 10" in show(settings, Request("breakout", ["BTC/USDT"], days=60))
    changed = Request("breakout", ["BTC/USDT"], days=60, parameters={"exit_channel": "5"})
    assert "channel 50, exit_channel 5" in show(settings, changed)


def test_a_strategy_of_the_whole_market_reads_all_that_is_kept(engine: Engine, settings: Settings) -> None:
    alone = show(settings.model_copy(update={"mains": ("BTC",), "alts": ()}), Request("index_momentum", ["BTC/USDT"]))
    market = show(settings, Request("index_momentum", ["BTC/USDT"]))
    assert "index_momentum on BTC/USDT, 1h" in market
    assert "begins " in market  # 2,500 hours are less than the year that was asked for
    assert alone != market


WRONG = [
    (Request("breakin", ["BTC/USDT"]), r"Unknown strategy 'breakin'. Expected one of trend_following, .*breakout"),
    (Request("breakout", ["XYZ/USDT"]), r"No 1h candle of XYZ/USDT is stored .* Symbols kept: BTC/USDT, ETH/USDT"),
    (Request("breakout", ["BTC/USDT"], "7m"), r"Expected one of the timeframes kept \(5m, 1h, 4h, 1d\), was 7m"),
    (Request("breakout", ["BTC/USDT"], "4h"), r"No 4h candle of BTC/USDT is stored"),
    (Request("breakout", ["BTC/USDT"], parameters={"channel": "5"}), "breakout: channel: expected 10 to 60, was 5"),
    (Request("breakout", ["BTC/USDT"], parameters={"channel": "ten"}), "channel: expected 10 to 60, was ten"),
    (
        Request("breakout", ["BTC/USDT"], parameters={"chanel": "20"}),
        "breakout has no parameter chanel. Expected some of",
    ),
    (Request("breakout", ["BTC/USDT"], days=1), "window of at least 50 candles, was 24"),
]


def test_what_cannot_be_tested_is_named_with_the_remedy(engine: Engine, settings: Settings) -> None:
    for request, message in WRONG:
        with pytest.raises(FksError, match=message):
            show(settings, request)
    assert not (settings.home / "backtests").exists()


def test_wrong_costs_and_forms_are_refused(engine: Engine, settings: Settings) -> None:
    with pytest.raises(OperatorError, match="Expected cash above zero"):
        show(settings, Request("breakout", ["BTC/USDT"]), cash=-1.0)
    with pytest.raises(OperatorError, match=r"as name=value, was channel, =3\. Write --set"):
        parse_changes(["channel", "=3", "margin_atr=0"])
    assert parse_changes(["channel = 30"]) == {"channel": "30"}


def test_no_trade_is_said_and_the_page_is_written_all_the_same(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    page = tmp_path / "deep" / "page.html"
    shown = show(settings, Request("breakout", ["BTC/USDT"], days=60), page, cash=10.0)
    assert "No trade: of " in shown
    assert "No trade: of " in page.read_text()


def test_a_page_that_cannot_be_written_is_named(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FksError, match=r"cannot be written .* Name another file by --page"):
        show(settings, Request("breakout", ["BTC/USDT"], days=60), tmp_path / "file" / "page.html")


def test_without_a_running_database_it_says_how_to_start_one(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "backtest", "breakout", "BTC/USDT")
    assert code == 1
    assert "No database runs in" in shown
    assert "`fks up`" in shown


def test_every_price_of_a_picture_is_within_the_walk() -> None:
    from lib.reporting.backtest_chart import thin

    values = np.cumsum(np.random.default_rng(1).normal(0, 1, 50_000))
    places = thin(values)
    assert len(places) <= 2400
    assert values[places].min() == values.min()
    assert values[places].max() == values.max()
    assert thin(np.array([1.0, 5.0, 2.0, 3.0, 0.0, 4.0]), most=4).tolist() == [0, 1, 4, 5]
