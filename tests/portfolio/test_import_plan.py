"""Which symbols are asked for new fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lib.portfolio.fills import Balance
from lib.portfolio.import_plan import plan_import
from lib.portfolio.stores import ImportState, SeenBalance
from tests.portfolio.samples import at

UNIVERSE = ("SOL/USDT", "BNB/USDT", "ADA/USDT")
NOW = at(120)


def plan(seen: dict[str, str], now: dict[str, str], *, changed_minute: float = 0, **state: Any) -> dict[str, str]:
    asked = {symbol: at(100) for symbol in (*UNIVERSE, *state.get("open_symbols", ()))}
    balances = {asset: Balance(asset, Decimal(total), Decimal(0)) for asset, total in now.items()}
    return plan_import(
        ImportState(
            {asset: SeenBalance(Decimal(total), at(changed_minute)) for asset, total in seen.items()},
            **({"asked_at": asked} | state),
        ),
        balances,
        universe=UNIVERSE,
        listed=(*UNIVERSE, "DOGE/USDT"),
        quote_asset="USDT",
        now=NOW,
    )


def test_nothing_changed_asks_nothing() -> None:
    assert plan({"USDT": "5", "SOL": "1"}, {"USDT": "5.00", "SOL": "1"}) == {}


def test_a_changed_holding_asks_its_symbol() -> None:
    assert plan({"USDT": "5", "SOL": "1"}, {"USDT": "3", "SOL": "2"}) == {"SOL/USDT": "holding changed"}


def test_a_vanished_holding_asks_its_symbol() -> None:
    assert plan({"USDT": "5", "SOL": "1"}, {"USDT": "6"}) == {"SOL/USDT": "holding changed"}


def test_a_fee_asset_beside_another_holding_asks_both() -> None:
    reasons = plan({"BNB": "1", "SOL": "1"}, {"BNB": "0.9", "SOL": "2"})
    assert set(reasons) == {"SOL/USDT", "BNB/USDT"}


def test_cash_alone_asks_every_symbol() -> None:
    assert plan({"USDT": "5"}, {"USDT": "6"}) == dict.fromkeys(sorted(UNIVERSE), "cash changed")


def test_cash_and_fee_asset_alone_ask_every_symbol() -> None:
    assert set(plan({"USDT": "5", "BNB": "1"}, {"USDT": "6", "BNB": "0.9"})) == set(UNIVERSE)


def test_an_asset_outside_the_universe_is_asked_if_the_exchange_lists_it() -> None:
    assert set(plan({}, {"DOGE": "1"})) == {"DOGE/USDT"}
    assert plan({}, {"LDUSDT": "1"}) == {}


def test_a_symbol_with_an_open_position_is_watched_though_it_left_the_universe() -> None:
    reasons = plan({"USDT": "5"}, {"USDT": "6"}, open_symbols=frozenset({"XRP/USDT"}))
    assert set(reasons) == {*UNIVERSE, "XRP/USDT"}


def test_a_holding_that_changed_ten_minutes_ago_is_not_asked_again() -> None:
    same = {"SOL": "1", "USDT": "5"}
    assert set(plan(same, same, changed_minute=111)) == {"SOL/USDT"}
    assert plan(same, same, changed_minute=110) == {}


def test_symbols_never_asked_are_all_asked() -> None:
    assert plan({}, {}, asked_at={}) == dict.fromkeys(UNIVERSE, "first import")


def test_a_listed_asset_that_is_held_and_was_never_asked_is_asked_however_long_ago_it_moved() -> None:
    held = {"SOL": "1", "DOGE": "7", "LDUSDT": "1", "USDT": "5"}
    assert plan(held, held) == {"DOGE/USDT": "first import"}
    asked_at = {symbol: at(100) for symbol in (*UNIVERSE, "DOGE/USDT")}
    assert plan(held, held, asked_at=asked_at) == {}
    assert plan({"DOGE": "0"}, {"DOGE": "0"}) == {}


def test_fifty_symbols_asked_longest_ago_are_asked_a_run() -> None:
    many = tuple(f"A{number:03}/USDT" for number in range(120))
    state = ImportState(asked_at={symbol: at(-number) for number, symbol in enumerate(many)})
    reasons = plan_import(state, {}, universe=many, listed=many, quote_asset="USDT", now=at(60))
    assert list(reasons) == list(reversed(many))[:50]


def test_a_symbol_that_failed_is_asked_again_though_it_is_not_watched() -> None:
    asked_at = {symbol: at(100) for symbol in UNIVERSE} | {"DOGE/USDT": None, "SOL/USDT": None}
    assert plan({}, {}, asked_at=asked_at) == {"DOGE/USDT": "failed before", "SOL/USDT": "failed before"}
