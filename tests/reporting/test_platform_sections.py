"""What a report says of the platform: data, signals, risk."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lib.adapters.database.strategies import DatabaseStrategies
from lib.reporting.headline import list_concerns
from lib.reporting.platform_sections import show_freshness, show_risk, show_signals
from lib.reporting.sections import Cell, Section, Tone, format_amount, format_price, signed
from lib.strategy.stores import Registration, StrategyState
from tests.reporting.conftest import Newsroom


def texts(section: Section) -> list[list[str]]:
    return [[cell.text for cell in row] for row in section.rows]


def store_series(newsroom: Newsroom, symbol: str, timeframe: str, behind: timedelta, error: str | None = None) -> None:
    newsroom.past.query(
        "INSERT INTO sync_status (symbol, timeframe, oldest_at, newest_at, candle_count, error, consecutive_failures)"
        " VALUES (:symbol, :timeframe, :newest, :newest, 1, :error, 0)",
        symbol=symbol,
        timeframe=timeframe,
        newest=newsroom.past.clock.now() - behind,
        error=error,
    )


def test_candles_are_fresh_until_two_runs_went_by_without_the_newest(newsroom: Newsroom) -> None:
    hour, minute = timedelta(hours=1), timedelta(minutes=1)  # it is 23:30
    store_series(newsroom, "BTC/USDT", "5m", 15 * minute)  # 23:15, the last that closed before 23:20
    store_series(newsroom, "SOL/USDT", "5m", 20 * minute)
    store_series(newsroom, "BTC/USDT", "1h", 1.5 * hour)
    store_series(newsroom, "SOL/USDT", "1h", 1.5 * hour, error="malformed")
    report = newsroom.gather()
    assert texts(show_freshness(report)) == [
        ["candles 5m, 2 symbols", "10-13 23:15 UTC", "old: SOL/USDT"],
        ["candles 1h, 2 symbols", "10-13 22:00 UTC", "failing: SOL/USDT"],
    ]
    assert list_concerns(report) == []  # one symbol is its own matter
    newsroom.past.clock.pass_time(minutes=45)  # past midnight
    assert "Candles are old: 5m, 1h (see sync_market_data in critical-path)." in list_concerns(newsroom.gather())


def test_open_gaps_and_series_without_candles_are_told(newsroom: Newsroom) -> None:
    store_series(newsroom, "BTC/USDT", "1h", timedelta(hours=1.5))
    newsroom.past.query(
        "INSERT INTO candle_gaps VALUES ('BTC/USDT', '1h', now(), now() + interval '1 hour', 'open', '', 0, now())"
    )
    newsroom.past.query("INSERT INTO sync_status VALUES ('BTC/USDT', '1d', NULL, NULL, NULL, 0, NULL, NULL, NULL, 0)")
    assert texts(show_freshness(newsroom.gather())) == [
        ["candles 1h, 1 symbol", "10-13 22:00 UTC", "open gaps in 1 symbol"],
        ["candles 1d, 1 symbol", "none", "nothing is stored yet"],
    ]


def test_buys_of_the_period_are_listed_and_who_is_silent_is_named(newsroom: Newsroom) -> None:
    store, begun = DatabaseStrategies(newsroom.past.engine), newsroom.past.clock.now()
    store.register([Registration(name, {}, "x") for name in ("breakout", "trend_following")], begun)
    store.change_state("breakout", StrategyState.DISABLED, "drawdown 34 %", begun)
    now = newsroom.past.clock.now()
    for action, hours, strategy in (("buy", 1, "breakout"), ("buy", 30, "breakout"), ("hold", 1, "trend_following")):
        newsroom.past.query(
            "INSERT INTO signals (timeframe, opened_at, strategy, symbol, action, version, price, stop_loss,"
            " take_profit, confidence, reasons, created_at)"
            " VALUES ('1h', :at, :strategy, 'SOL/USDT', :action, 1, 110, :stop, :target, :confidence, '{}', :at)",
            at=now - timedelta(hours=hours),
            strategy=strategy,
            action=action,
            stop=Decimal(100) if action == "buy" else None,
            target=Decimal(130) if action == "buy" else None,
            confidence=0.75 if action == "buy" else None,
        )
    section = show_signals(newsroom.gather())
    assert texts(section) == [["10-13 22:30", "SOL/USDT 1h", "breakout", "110.00", "100.00", "130.00", "75 %"]]
    assert section.notes == (
        "2 decisions, 1 BUY.",
        "Active: trend following. breakout is disabled (drawdown 34 %).",
    )


def test_risk_is_that_of_the_newest_analysis_and_high_is_a_concern(newsroom: Newsroom) -> None:
    now = newsroom.past.clock.now()
    for hours, level in ((1, "HIGH"), (2, "LOW")):
        newsroom.past.query(
            "INSERT INTO risk_snapshots (account, at, state_at, level, fired, equity, market_value, unrealized_pnl,"
            " exposure_ratio, loss_ratio, largest_symbol, largest_share, unpriced, drawdown_ratio,"
            " worst_drawdown_ratio)"
            " VALUES ('demo', :at, :at, :level, CAST(:fired AS jsonb), 100, 90, 0, 0.9, 0, 'SOL/USDT', 0.25, '{}',"
            " -0.05, -0.1)",
            at=now - timedelta(hours=hours),
            level=level,
            fired='[{"rule": "exposure", "symbol": null}, {"rule": "position", "symbol": "SOL/USDT"}]',
        )
    report = newsroom.gather()
    [row] = texts(show_risk(report))
    assert row == [
        "demo",
        "HIGH",
        "90.00 %",
        "0.00 %",
        "SOL/USDT 25.00 %",
        "not enough data",
        "-5.00 %",
        "10-13 22:30 UTC",
    ]
    assert list_concerns(report)[0].startswith("Risk of demo is HIGH: exposure, position SOL/USDT (")


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        ("137714.224", "137,714.22"),
        ("100", "100.00"),
        ("27.8612", "27.86"),
        ("0.44131", "0.4413"),
        ("0.0000123", "0.00001230"),
    ],
)
def test_a_price_has_as_many_decimals_as_it_takes(price: str, shown: str) -> None:
    assert format_price(Decimal(price)) == shown


@pytest.mark.parametrize(("amount", "shown"), [("100", "100"), ("0.10", "0.1"), ("1E-9", "0"), ("1234.5", "1,234.5")])
def test_a_quantity_has_no_zeros_at_its_end(amount: str, shown: str) -> None:
    assert format_amount(Decimal(amount)) == shown


def test_what_is_nothing_is_neither_good_nor_bad() -> None:
    assert [signed(text) for text in ("+1.00 %", "-0.50", "+0.00 %", "0.00")] == [
        Cell("+1.00 %", Tone.GOOD),
        Cell("-0.50", Tone.BAD),
        Cell("+0.00 %"),
        Cell("0.00"),
    ]
