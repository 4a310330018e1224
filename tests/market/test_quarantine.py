"""Symbols that do not trade: noticed, put aside, and taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from lib.adapters.database.tables.market import SYMBOLS
from lib.errors import AllItemsFailed, ExchangeUnavailable, SymbolHalted
from lib.market.series import Series
from lib.market.symbols import SymbolGroup, SymbolStatus
from lib.results import Status
from tests.market.desks import Desk
from tests.market.exchanges import BTC, ETH, NOON, SOL, make_symbol


def load_symbol(desk: Desk, name: str) -> dict[str, object]:
    with desk.engine.connect() as connection:
        return dict(connection.execute(select(SYMBOLS).where(SYMBOLS.c.name == name)).mappings().one())


def items(result: object) -> dict[str, tuple[Status, str]]:
    return {item.name: (item.status, item.detail) for item in result.items}  # type: ignore[attr-defined]


async def test_the_exchanges_list_is_stored_with_its_filters(desk: Desk) -> None:
    desk.change(groups={BTC: SymbolGroup.MAIN})
    await desk.sync()
    assert load_symbol(desk, BTC) == {
        "name": BTC,
        "base": "BTC",
        "quote": "USDT",
        "asset_group": "main",
        "status": "trading",
        "price_step": Decimal("0.01"),
        "quantity_step": Decimal("0.00001"),
        "min_quantity": Decimal("0.00001"),
        "min_notional": Decimal(5),
        "status_since": NOON,
        "refreshed_at": NOON,
    }
    assert load_symbol(desk, SOL)["asset_group"] == "other"


async def test_the_list_is_asked_for_once_an_hour(desk: Desk) -> None:
    for _ in range(25):
        await desk.sync()
        desk.clock.advance(minutes=5)
    assert desk.exchange.listings == 3


async def test_a_symbol_that_disappears_fails_once_and_is_skipped_afterwards(desk: Desk) -> None:
    await desk.sync(BTC, ETH)
    del desk.exchange.symbols[ETH]
    desk.clock.advance(minutes=5)
    result = await desk.sync(BTC, ETH)
    assert (result.status, result.quarantined) == (Status.PARTIAL, (ETH,))
    assert items(result)["ETH/USDT 5m"] == (Status.FAILED, "ETH/USDT is not listed.")
    desk.clock.advance(minutes=5)
    desk.exchange.asked.clear()
    result = await desk.sync(BTC, ETH)
    assert result.status is Status.OK
    assert items(result)["ETH/USDT 5m"] == (Status.SKIPPED, "quarantined: delisted on the exchange")
    assert result.counts["quarantined"] == 1
    assert {series.symbol for series, _, _ in desk.exchange.asked} == {BTC}


async def test_a_halted_symbol_is_quarantined_even_when_its_candles_only_stop(desk: Desk) -> None:
    await desk.sync(BTC, ETH)
    desk.exchange.symbols[ETH] = make_symbol(ETH, status=SymbolStatus.HALTED)
    desk.clock.advance(hours=1)
    result = await desk.sync(BTC, ETH)
    assert items(result)["ETH/USDT 5m"] == (Status.FAILED, "quarantined: halted on the exchange")
    assert result.quarantined == (ETH,)
    assert load_symbol(desk, ETH)["status_since"] == desk.clock.now()
    desk.clock.advance(hours=1)
    result = await desk.sync(BTC, ETH)
    assert (items(result)["ETH/USDT 5m"][0], result.quarantined) == (Status.SKIPPED, ())
    assert load_symbol(desk, ETH)["status_since"] == desk.clock.now() - timedelta(hours=1)


async def test_a_symbol_that_trades_again_is_synced_again(desk: Desk) -> None:
    desk.exchange.symbols[ETH] = make_symbol(ETH, status=SymbolStatus.HALTED)
    await desk.sync(BTC, ETH)
    desk.exchange.symbols[ETH] = make_symbol(ETH)
    desk.clock.advance(hours=1)
    result = await desk.sync(BTC, ETH)
    assert result.released == (ETH,)
    assert items(result)["ETH/USDT 5m"] == (Status.OK, "24 new candles")


async def test_a_symbol_that_fails_as_halted_and_is_listed_as_trading_is_no_quarantine(desk: Desk) -> None:
    await desk.sync(BTC, ETH)
    desk.exchange.failing[ETH] = SymbolHalted("ETH/USDT does not trade.")
    desk.clock.advance(minutes=5)
    assert (await desk.sync(BTC, ETH)).quarantined == ()
    desk.exchange.failing.clear()
    desk.clock.advance(minutes=5)
    assert items(await desk.sync(BTC, ETH))["ETH/USDT 5m"][0] is Status.OK


async def test_a_symbol_that_never_existed_is_put_on_record_without_filters(desk: Desk) -> None:
    result = await desk.sync(BTC, "MATIC/USDT")
    assert items(result)["MATIC/USDT 5m"] == (Status.FAILED, "quarantined: delisted on the exchange")
    row = load_symbol(desk, "MATIC/USDT")
    assert (row["base"], row["quote"], row["status"], row["price_step"]) == ("MATIC", "USDT", "delisted", None)
    desk.clock.advance(minutes=5)
    assert items(await desk.sync(BTC, "MATIC/USDT"))["MATIC/USDT 5m"][0] is Status.SKIPPED
    assert desk.exchange.listings == 1


async def test_a_delisted_symbol_keeps_its_filters(desk: Desk) -> None:
    await desk.sync(BTC, ETH)
    del desk.exchange.symbols[ETH]
    desk.clock.advance(hours=1)
    await desk.sync(BTC, ETH)
    row = load_symbol(desk, ETH)
    assert (row["status"], row["price_step"]) == ("delisted", Decimal("0.01"))


async def test_without_the_list_candles_are_fetched_all_the_same(desk: Desk) -> None:
    desk.exchange.failing["symbols"] = ExchangeUnavailable("timeout")
    result = await desk.sync()
    assert result.status is Status.PARTIAL
    assert items(result) == {
        "symbols": (Status.FAILED, "timeout"),
        "BTC/USDT 5m": (Status.OK, "24 new candles"),
    }


async def test_a_list_that_the_database_refuses_stops_no_candle(desk: Desk) -> None:
    desk.exchange.symbols[SOL] = replace(desk.exchange.symbols[SOL], price_step=Decimal(0))
    result = await desk.sync()
    assert result.failed[0].name == "symbols"
    assert "symbols_filters" in result.failed[0].detail
    assert result.counts["candles"] == 24


async def test_a_list_that_would_quarantine_most_of_our_symbols_is_not_believed(desk: Desk) -> None:
    await desk.sync(BTC, ETH, SOL)
    desk.exchange.symbols = {BTC: desk.exchange.symbols[BTC]}
    desk.clock.advance(hours=1)
    result = await desk.sync(BTC, ETH, SOL)
    assert items(result)["symbols"][1].startswith(
        "The exchange's list of 1 symbols has 2 of our 3 not trading; it is not"
    )
    assert load_symbol(desk, ETH)["status"] == "trading"


async def test_an_empty_list_is_not_believed(desk: Desk) -> None:
    await desk.sync()
    desk.exchange.symbols = {}
    desk.clock.advance(hours=1)
    with pytest.raises(AllItemsFailed, match="The exchange's list of 0 symbols has 1 of our 1 not trading"):
        await desk.sync()
    assert load_symbol(desk, BTC)["status"] == "trading"


async def test_two_of_ten_symbols_may_disappear_at_once(desk: Desk) -> None:
    names = [f"C{number}/USDT" for number in range(10)]
    desk.exchange.symbols = {name: make_symbol(name) for name in names}
    await desk.sync(*names)
    del desk.exchange.symbols[names[0]], desk.exchange.symbols[names[1]]
    desk.clock.advance(minutes=5)
    assert (await desk.sync(*names)).quarantined == (names[0], names[1])


async def test_filters_that_change_are_stored(desk: Desk) -> None:
    await desk.sync()
    desk.exchange.symbols[BTC] = replace(desk.exchange.symbols[BTC], min_notional=Decimal("10.5"))
    desk.clock.advance(hours=1)
    await desk.sync()
    assert load_symbol(desk, BTC)["min_notional"] == Decimal("10.5")


async def test_a_person_may_backfill_a_symbol_in_quarantine(desk: Desk) -> None:
    desk.exchange.symbols[ETH] = make_symbol(ETH, status=SymbolStatus.HALTED)
    await desk.sync(BTC, ETH)
    series = Series(ETH, "5m")
    result = await desk.backfill(series, NOON - timedelta(hours=1), NOON)
    assert (result.status, len(desk.candles(series))) == (Status.OK, 12)
