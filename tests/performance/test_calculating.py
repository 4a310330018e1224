"""The metrics of accounts as they are stored, one of them worked out by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from math import sqrt

import pytest

from lib.performance.period import find_period
from lib.results import Status
from tests.performance.conftest import Past
from tests.portfolio.samples import START, buy, sell

NINTH_EVENING = START + timedelta(days=8, hours=23)


def live_through_nine_days(past: Past) -> None:
    """Equity at each day's end; 500 come in during the fourth day, when nothing is gained."""
    equities = (
        "1000",
        "1010",
        "1030.2",
        "999.294",
        "1499.294",
        "1514.28694",
        "1484.0012012",
        "1484.0012012",
        "1498.84",
    )
    for day, equity in enumerate(equities):
        past.worth(day + 0.95, equity, deposited="500" if day == 4 else "0")


def test_the_metrics_of_an_account_are_those_worked_out_by_hand(past: Past) -> None:
    live_through_nine_days(past)
    past.bitcoin(0.95, 50_000)
    past.bitcoin(8.95, 55_000)
    past.fill(
        buy("10", "100", "1 USDT", number=1),
        sell("5", "120", "0.6 USDT", number=2),
        sell("5", "90", "0.45 USDT", number=3),
    )
    result = past.measure(NINTH_EVENING)

    assert result.status is Status.OK and result.counts == {"metrics": 1}
    [row] = past.stored()
    assert (row.account, row.days, row.last_day, row.quote_asset) == ("demo", 30, date(2024, 10, 12), "USDT")
    assert (row.began_at, row.ended_at) == (START + timedelta(days=0.95), START + timedelta(days=8.95))
    assert (row.opening_equity, row.closing_equity, row.net_flows) == (1000, Decimal("1498.84"), 500)
    assert row.profit == Decimal("-1.16")
    # +1 %, +2 %, -3 %, 0 (the deposit), +1 %, -2 %, 0, and what is left of +1 %
    returns = [0.01, 0.02, -0.03, 0.0, 0.01, -0.02, 0.0, 1498.84 / 1484.0012012 - 1]
    mean = sum(returns) / 8
    deviation = sqrt(sum((one - mean) ** 2 for one in returns) / 7)
    total = 1.01 * 1.02 * 0.97 * 1.01 * 0.98 * (1 + returns[-1]) - 1
    deepest = 0.97 * 1.01 * 0.98 - 1  # below the end of the third day, and not back there at the end
    assert row.known_days == 8
    assert row.total_return == pytest.approx(total)
    assert row.average_return == pytest.approx(mean)
    assert row.volatility == pytest.approx(deviation * sqrt(365))
    assert row.sharpe == pytest.approx(mean / deviation * sqrt(365))
    assert row.sortino == pytest.approx(mean / sqrt((0.03**2 + 0.02**2) / 8) * sqrt(365))
    assert (row.max_drawdown, row.drawdown_days) == (pytest.approx(deepest), 6)
    assert row.calmar == pytest.approx(((1 + total) ** (365 / 8) - 1) / -deepest)
    assert row.benchmark_return == pytest.approx(0.1)
    assert (row.orders, row.trades, row.wins, row.win_rate) == (3, 2, 1, 0.5)
    assert (row.gross_profit, row.gross_loss, row.fees) == (Decimal("98.9"), Decimal("-50.95"), Decimal("2.05"))
    assert row.profit_factor == pytest.approx(98.9 / 50.95)


def test_a_short_history_says_not_enough_data_instead_of_a_number(past: Past) -> None:
    for day, equity in enumerate(("1000", "1010", "1005")):
        past.worth(day + 0.95, equity)
    result = past.measure(START + timedelta(days=2, hours=23))
    [row] = past.stored()
    assert row.total_return == pytest.approx(0.005)
    assert (row.volatility, row.sharpe, row.sortino, row.calmar, row.win_rate) == (None,) * 5
    [table] = result.render_tables()
    lines = {line.split("|")[1].strip(): line.split("|")[2].strip() for line in table.splitlines()}
    assert lines["Sharpe ratio"] == lines["volatility, a year"] == "not enough data (2 of 7 days)"
    assert lines["total return"] == "+0.50 %" and lines["holding BTC"] == "not enough data"
    assert lines["win rate"] == lines["profit factor"] == "–"


@pytest.mark.parametrize("snapshots", [0, 1])
def test_an_account_without_a_history_is_skipped_and_nothing_is_stored(past: Past, snapshots: int) -> None:
    for day in range(snapshots):
        past.worth(day + 0.95, "1000")
    result = past.measure(START + timedelta(hours=23))
    assert result.status is Status.SKIPPED
    assert "not enough data" in result.items[0].detail
    assert past.stored() == []


def test_several_accounts_have_metrics_each_and_together(past: Past) -> None:
    past.open_account("second")
    for day, (first, second) in enumerate((("1000", "100"), ("1100", "100"), ("1100", "50"))):
        past.worth(day + 0.95, first)
        past.worth(day + 0.95, second, account="second")
    past.fill(buy("1", "90", number=1), sell("1", "100", number=2))
    result = past.measure(START + timedelta(days=2, hours=23))
    assert [item.name for item in result.items] == ["demo", "second", "all accounts"]
    stored = past.stored()
    assert [(row.account, row.trades) for row in stored] == [("", 1), ("demo", 1), ("second", 0)]
    assert [row.total_return for row in stored] == pytest.approx([1150 / 1100 - 1, 0.1, -0.5])


def test_measuring_again_replaces_what_was_measured_of_the_same_days(past: Past) -> None:
    live_through_nine_days(past)
    past.measure(NINTH_EVENING)
    past.worth(8.97, "1600")
    past.measure(NINTH_EVENING + timedelta(minutes=30))
    past.measure(NINTH_EVENING + timedelta(minutes=30), days=7)
    assert [(row.days, row.closing_equity) for row in past.stored()] == [(7, 1600), (30, 1600)]


def test_what_was_measured_on_earlier_evenings_is_shown_as_the_trend(past: Past) -> None:
    live_through_nine_days(past)
    past.measure(NINTH_EVENING - timedelta(days=7))
    [alone] = past.measure(NINTH_EVENING - timedelta(days=2)).render_tables()
    assert "trend" not in alone  # nothing was measured the evening before, or a week before
    past.measure(NINTH_EVENING - timedelta(days=1))
    _, trend = past.measure(NINTH_EVENING).render_tables()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in trend.splitlines()[2:]]
    assert [row[:4] for row in rows[2:]] == [
        ["demo", "2024-10-12", "-1.16", "-0.10 %"],
        ["demo", "2024-10-11", "-16.00", "-1.09 %"],
        ["demo", "2024-10-05", "+10.00", "+1.00 %"],
    ]
    assert rows[4][5:] == ["–", "–", "0.00 %", "–"]  # too short then for what is extrapolated, and not a trade


def test_one_account_that_cannot_be_measured_stops_no_other(past: Past) -> None:
    past.open_account("second")
    for day, equity in enumerate(("1000", "1100")):
        past.worth(day + 0.95, equity)
        past.worth(day + 0.95, equity, account="second")
    past.query("UPDATE balance_history SET equity = 0, unexplained_value = 'NaN' WHERE account = 'second'")
    result = past.measure(START + timedelta(days=1, hours=23))
    assert result.status is Status.PARTIAL
    assert [item.name for item in result.failed] == ["second"]
    assert [row.account for row in past.stored()] == ["demo"]


@pytest.mark.parametrize(
    ("now", "days", "first", "last"),
    [
        ("2026-11-22T23:00", 1, "2026-11-22", "2026-11-22"),
        ("2026-11-22T21:59", 1, "2026-11-21", "2026-11-21"),
        ("2026-11-23T08:00", 7, "2026-11-16", "2026-11-22"),  # Monday to Sunday
        ("2026-03-01T00:00", 30, "2026-01-30", "2026-02-28"),
    ],
)
def test_a_period_is_whole_days_the_present_one_from_the_evening_on(now: str, days: int, first: str, last: str) -> None:
    period = find_period(datetime.fromisoformat(f"{now}+00:00"), days)
    assert (f"{period.start:%Y-%m-%d}", str(period.last_day)) == (first, last)
    assert period.previous.end == period.start and period.previous.days == days
