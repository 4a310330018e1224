from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from lib.simulator.candles import BASE, CLOSE, HIGH, LOW, OPEN, OPENED, aggregate
from lib.simulator.instruments import make_profiles
from lib.simulator.intervals import DAY_MS, HOUR_MS, MINUTE_MS, NAMES, floor_to_interval, next_open
from lib.simulator.segments import Segment, Segments
from lib.simulator.world import World

NOON = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * 1000
MONTH = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp()) * 1000


def make_world(seed: int = 7, symbols: int = 3) -> World:
    return World(make_profiles(symbols), seed)


def test_the_same_seed_gives_the_same_candles_whatever_was_asked_before() -> None:
    asked_before = make_world()
    asked_before.candles("BTCUSDT", "1d", NOON - 40 * DAY_MS, NOON // DAY_MS * DAY_MS)
    hours = [world.candles("BTCUSDT", "1h", NOON - 5 * HOUR_MS, NOON) for world in (asked_before, make_world())]
    assert (hours[0] == hours[1]).all()


def test_a_symbol_is_the_same_in_a_larger_world() -> None:
    small, large = make_world(symbols=2), make_world(symbols=30)
    assert small.price("ETHUSDT", NOON) == large.price("ETHUSDT", NOON)


def test_another_seed_gives_another_world() -> None:
    assert make_world(7).price("BTCUSDT", NOON) != make_world(8).price("BTCUSDT", NOON)


@pytest.mark.parametrize("interval", NAMES)
def test_every_interval_is_the_exact_aggregate_of_the_minutes(interval: str) -> None:
    world = make_world()
    opened = floor_to_interval(MONTH, interval)
    ended = next_open(opened, interval)
    minutes = world.candles("BTCUSDT", "1m", opened, ended)
    assert minutes.shape[1] == (ended - opened) // MINUTE_MS
    wide = world.candles("BTCUSDT", interval, opened, ended)
    assert wide.shape[1] == 1
    assert wide[OPENED, 0] == opened
    assert wide[OPEN, 0] == minutes[OPEN, 0]
    assert wide[HIGH, 0] == max(minutes[HIGH].tolist())
    assert wide[LOW, 0] == min(minutes[LOW].tolist())
    assert wide[CLOSE, 0] == minutes[CLOSE, -1]
    assert wide[BASE:, 0].tolist() == [sum(row) for row in minutes[BASE:].tolist()]


def test_a_minute_opens_where_the_one_before_it_closed_also_at_midnight() -> None:
    minutes = make_world().candles("BTCUSDT", "1m", NOON, NOON + DAY_MS)
    assert (minutes[OPEN, 1:] == minutes[CLOSE, :-1]).all()


def test_candles_are_possible_and_on_the_grid_of_the_tick() -> None:
    minutes = make_world().candles("BTCUSDT", "1m", NOON, NOON + DAY_MS)
    assert (minutes[HIGH] >= np.maximum(minutes[OPEN], minutes[CLOSE])).all()
    assert (minutes[LOW] <= np.minimum(minutes[OPEN], minutes[CLOSE])).all()
    assert (minutes[LOW] > 0).all()
    assert (minutes[OPEN : CLOSE + 1] % 1_000_000 == 0).all()  # BTC's tick of 0.01 in units of 1e-8
    assert (minutes[BASE] % 1_000 == 0).all()  # its step of 0.00001


def test_the_running_candle_only_grows_into_the_complete_one() -> None:
    world = make_world()
    complete = world.candles("BTCUSDT", "5m", NOON, NOON + 5 * MINUTE_MS)[:, 0]
    before = world.part("BTCUSDT", "5m", NOON, NOON)[:, 0]
    assert before[OPEN] == complete[OPEN]
    assert before[BASE] == 0
    for elapsed in range(1_000, 300_000, 7_001):
        part = world.part("BTCUSDT", "5m", NOON, NOON + elapsed)[:, 0]
        assert part[OPEN] == complete[OPEN]
        assert before[HIGH] <= part[HIGH] <= complete[HIGH]
        assert before[LOW] >= part[LOW] >= complete[LOW]
        assert (before[BASE:] <= part[BASE:]).all()
        assert part[CLOSE] == world.price("BTCUSDT", NOON + elapsed)
        before = part
    assert (before[BASE:] <= complete[BASE:]).all()


def test_the_range_of_prices_is_what_a_walk_along_the_path_sees() -> None:
    world = make_world()
    start, end = NOON + 12_345, NOON + 4 * MINUTE_MS + 54_321
    low, high = world.range("BTCUSDT", start, end)
    seen = [world.price("BTCUSDT", instant) for instant in range(start, end + 1, 50)]
    assert low <= min(seen)
    assert high >= max(seen)
    vertices = world.candles("BTCUSDT", "1m", NOON + MINUTE_MS, NOON + 4 * MINUTE_MS)
    assert low <= vertices[LOW].min()
    assert high >= vertices[HIGH].max()
    assert low >= min(min(seen), vertices[LOW].min()) - 1_000_000  # a tick
    assert high <= max(max(seen), vertices[HIGH].max()) + 1_000_000


def test_a_price_set_in_the_middle_of_a_minute_holds_from_that_instant_on_and_changes_nothing_before() -> None:
    plain, changed = make_world(), make_world()
    instant = NOON + 150_250
    price = 50_000 * 10**8
    changed.reshape("BTCUSDT", Segments([Segment(instant, price, changed.undisturbed("BTCUSDT", instant))]))
    assert changed.price("BTCUSDT", instant) == price
    assert changed.price("BTCUSDT", instant - 1) == plain.price("BTCUSDT", instant - 1)
    before = changed.candles("BTCUSDT", "1m", NOON - DAY_MS, NOON + 2 * MINUTE_MS)
    assert (before == plain.candles("BTCUSDT", "1m", NOON - DAY_MS, NOON + 2 * MINUTE_MS)).all()
    minute = changed.candles("BTCUSDT", "1m", NOON + 2 * MINUTE_MS, NOON + 3 * MINUTE_MS)[:, 0]
    assert minute[OPEN] == plain.price("BTCUSDT", NOON + 2 * MINUTE_MS)
    assert minute[LOW] <= price < minute[HIGH]
    following = changed.candles("BTCUSDT", "1m", NOON + 3 * MINUTE_MS, NOON + 4 * MINUTE_MS)[:, 0]
    assert following[OPEN] == minute[CLOSE]
    assert changed.range("BTCUSDT", instant - 1, instant + 1) == (
        min(price, changed.price("BTCUSDT", instant + 1)),
        plain.price("BTCUSDT", instant - 1),
    )


def test_a_drift_reaches_its_change_on_top_of_the_undisturbed_path_and_keeps_it() -> None:
    plain, crashed = make_world(), make_world()
    base = plain.undisturbed("BTCUSDT", NOON)
    start = plain.price("BTCUSDT", NOON)
    segment = Segment(NOON, start, base, change=-0.4, duration_ms=HOUR_MS)
    crashed.reshape("BTCUSDT", Segments([segment]))
    for hours, share in ((0.5, 0.8), (1, 0.6), (5, 0.6)):
        instant = NOON + int(hours * HOUR_MS)
        expected = plain.price("BTCUSDT", instant) * share
        assert crashed.price("BTCUSDT", instant) == pytest.approx(expected, rel=1e-6)


def test_a_flat_segment_stands_still() -> None:
    world = make_world()
    world.reshape("BTCUSDT", Segments([Segment(NOON, 10**12, 1.0, flat=True)]))
    minutes = world.candles("BTCUSDT", "1m", NOON, NOON + HOUR_MS)
    assert set(minutes[OPEN : CLOSE + 1].ravel().tolist()) == {10**12}
    assert (minutes[BASE] > 0).any()


def test_hidden_minutes_are_gone_and_wider_candles_are_built_from_the_rest() -> None:
    plain, gappy = make_world(), make_world()
    gappy.hide("BTCUSDT", ((NOON, NOON + 90_000),))  # the minute at 12:01 is not wholly inside
    kept = gappy.candles("BTCUSDT", "1m", NOON - MINUTE_MS, NOON + 3 * MINUTE_MS)
    assert kept[OPENED].tolist() == [NOON - MINUTE_MS, NOON + MINUTE_MS, NOON + 2 * MINUTE_MS]
    expected = aggregate(plain.candles("BTCUSDT", "1m", NOON + MINUTE_MS, NOON + 5 * MINUTE_MS), "5m")
    assert (gappy.candles("BTCUSDT", "5m", NOON, NOON + 5 * MINUTE_MS) == expected).all()
    gappy.hide("BTCUSDT", ((NOON, NOON + HOUR_MS),))
    assert gappy.candles("BTCUSDT", "1h", NOON, NOON + HOUR_MS).shape == (10, 0)
    assert gappy.part("BTCUSDT", "5m", NOON, NOON + 70_000).shape == (10, 0)


def test_nothing_trades_before_the_listing() -> None:
    world = make_world()
    first = world.candles("BTCUSDT", "1d", 0, world.listed_ms("BTCUSDT") + 2 * DAY_MS)
    assert first[OPENED].tolist() == [world.listed_ms("BTCUSDT"), world.listed_ms("BTCUSDT") + DAY_MS]


def test_volatility_and_correlation_are_those_of_the_market() -> None:
    world = make_world()
    closes = [
        world.candles(symbol, "1h", NOON // DAY_MS * DAY_MS - 730 * DAY_MS, NOON // DAY_MS * DAY_MS)[CLOSE]
        for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    returns = [np.diff(np.log(row.astype(float))) for row in closes]
    assert 0.55 < returns[0].std() * np.sqrt(365 * 24) < 0.70
    assert 0.60 < returns[1].std() * np.sqrt(365 * 24) < 0.80
    assert 0.5 < np.corrcoef(returns[0], returns[1])[0, 1] < 0.7


def test_invented_symbols_have_steps_that_fit_their_price() -> None:
    profiles = make_profiles(500)
    assert len(profiles) == 500
    for profile in profiles.values():
        instrument = profile.instrument
        assert Decimal("1e-8") < instrument.tick_size / Decimal(profile.level) < Decimal("0.01")
        assert instrument.min_quantity * Decimal(profile.level) < instrument.min_notional
        assert instrument.max_market_quantity <= instrument.max_quantity
