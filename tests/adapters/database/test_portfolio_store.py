"""What the portfolio's store keeps, to the last digit, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from lib.adapters.database.engine import make_engine
from lib.adapters.database.exits import DatabaseExits
from lib.adapters.database.market_facts import DatabaseMarketFacts
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.tickets import DatabaseTickets
from lib.errors import DatabaseUnavailable, OperatorError, SettingsError
from lib.execution.tickets import Ticket
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.fills import Balance, BookedFill, Fill, Side
from lib.portfolio.ledger import build_ledger
from lib.portfolio.stores import HeldPosition, SeenBalance
from lib.portfolio.valuation import value_position

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
ACCOUNT = Account("demo", AccountKind.LIVE, "simulator", "USDT")
SMALL = Decimal("0.000000000000000001")
LARGE = Decimal("123456789012345678901234567890.12345678")


@pytest.fixture
def store(engine: Engine) -> DatabasePortfolioStore:
    store = DatabasePortfolioStore(engine)
    store.ensure_account(ACCOUNT, NOW)
    return store


def make_buy(
    number: int = 1, *, at: datetime = NOW, price: str = "100", fee_quote: Decimal | None = SMALL
) -> BookedFill:
    fill = Fill(
        "demo", "SOL/USDT", number, f"o{number}", Side.BUY, Decimal(price), Decimal("1.5"), Decimal("0.1"), "BNB", at
    )
    return BookedFill(fill, fee_quote, "candle 5m", Decimal("0.001"))


def book(store: DatabasePortfolioStore, *fills: BookedFill) -> None:
    with store.open_books("demo") as books:
        books.add_fills(fills, NOW)
        books.replace_ledger(build_ledger(books.load_fills()))


def only_held(store: DatabasePortfolioStore) -> HeldPosition:
    (held,) = store.load_held("demo")
    return held


def test_an_account_is_registered_once_and_read_back(store: DatabasePortfolioStore) -> None:
    store.ensure_account(ACCOUNT, NOW)
    assert store.load_account("demo") == ACCOUNT


@pytest.mark.parametrize(
    "other",
    [
        Account("demo", AccountKind.PAPER, "simulator", "USDT"),
        Account("demo", AccountKind.LIVE, "binance", "USDT"),
        Account("demo", AccountKind.LIVE, "simulator", "EUR"),
    ],
    ids=str,
)
def test_an_account_never_becomes_another_one(store: DatabasePortfolioStore, other: Account) -> None:
    with pytest.raises(SettingsError, match="Account demo is stored as live, simulator, USDT"):
        store.ensure_account(other, NOW)
    assert store.load_account("demo") == ACCOUNT


def test_an_unknown_account_is_named(store: DatabasePortfolioStore) -> None:
    with pytest.raises(OperatorError, match="Account main is not registered"):
        store.load_account("main")


def test_fills_come_back_as_they_were_stored(store: DatabasePortfolioStore) -> None:
    fills = [make_buy(1, price=str(LARGE)), make_buy(2, fee_quote=None)]
    with store.open_books("demo") as books:
        books.add_fills(fills, NOW)
        assert list(books.load_fills()) == fills
    with store.open_books("demo") as books:
        assert list(books.load_fills()) == fills
        assert books.load_stored([fills[1].fill]) == {fills[1].fill.key: fills[1].fill}
        assert books.load_stored([]) == {}


def test_positions_come_back_as_the_ledger_made_them(store: DatabasePortfolioStore) -> None:
    fills = [make_buy(1, price=str(LARGE)), make_buy(2, price="0.00000001")]
    book(store, *fills)
    assert (only_held(store).position,) == build_ledger(fills).positions


def test_an_error_inside_the_books_leaves_nothing(store: DatabasePortfolioStore) -> None:
    with pytest.raises(RuntimeError), store.open_books("demo") as books:
        books.add_fills([make_buy()], NOW)
        raise RuntimeError("killed")
    with store.open_books("demo") as books:
        assert books.load_fills() == []


def test_a_fee_value_is_added_later(store: DatabasePortfolioStore) -> None:
    book(store, make_buy(1, fee_quote=None), make_buy(2))
    assert store.load_import_state("demo").unvalued == (make_buy(1, fee_quote=None),)
    with store.open_books("demo") as books:
        books.value_fees([make_buy(1, fee_quote=Decimal(7))])
    assert store.load_import_state("demo").unvalued == ()


def test_the_import_state_is_what_the_last_import_saved(store: DatabasePortfolioStore) -> None:
    first = [Balance("SOL", Decimal("1.5"), Decimal("0.5")), Balance("USDT", Decimal(9), Decimal(0))]
    later = NOW + timedelta(minutes=5)
    with store.open_books("demo") as books:
        books.save_import(first, {"SOL/USDT": True, "ADA/USDT": True}, NOW)
    with store.open_books("demo") as books:
        second = [Balance("SOL", Decimal(2), Decimal(0)), Balance("USDT", Decimal(8), Decimal(0))]
        books.save_import(second, {"ADA/USDT": False}, later)
    state = store.load_import_state("demo")
    assert (state.imported_at, state.failing_since) == (later, {"ADA/USDT": later})
    assert state.seen == {
        "SOL": SeenBalance(Decimal(2), NOW),  # from locked to free is no change
        "USDT": SeenBalance(Decimal(8), later),
    }
    assert state.asked_at == {"SOL/USDT": NOW, "ADA/USDT": None}
    assert state.open_symbols == frozenset()


def test_a_symbol_fails_since_its_first_failure_after_it_was_imported(store: DatabasePortfolioStore) -> None:
    instants = [NOW + timedelta(minutes=number) for number in range(5)]
    for at, imported in zip(instants, (True, False, False, True, False), strict=True):
        with store.open_books("demo") as books:
            books.save_import([], {"ADA/USDT": imported}, at)
        if at == instants[2]:
            assert store.load_import_state("demo").failing_since == {"ADA/USDT": instants[1]}
        if imported:
            assert store.load_import_state("demo").failing_since == {}
    assert store.load_import_state("demo").failing_since == {"ADA/USDT": instants[4]}


def test_reading_resumes_at_the_newest_settled_fill(store: DatabasePortfolioStore) -> None:
    book(store, make_buy(5, at=NOW - timedelta(days=3)), make_buy(7, at=NOW - timedelta(days=2)), make_buy(9))
    symbols = ["SOL/USDT", "ADA/USDT"]
    assert store.load_resume_ids("demo", symbols, NOW - timedelta(days=1)) == {"SOL/USDT": 7}
    assert store.load_resume_ids("demo", [], NOW) == {}
    assert store.load_resume_ids("other", symbols, NOW) == {}


def test_a_rebuilt_ledger_keeps_price_limits_alarms_and_exits(store: DatabasePortfolioStore, engine: Engine) -> None:
    book(store, make_buy(2))
    held = only_held(store)
    with store.open_books("demo") as books:
        books.save_valuations({"SOL/USDT": value_position(held.position, Decimal(90), NOW)})
    store.save_limits(held, Decimal(80), Decimal(120))
    store.save_alarm(only_held(store), AlarmKind.STALE_PRICE, Alarm(NOW, NOW, 1))
    store.save_alarm(only_held(store), AlarmKind.STOP_LOSS, Alarm(NOW, NOW, 1), policy=ExitPolicy.EXIT)
    book(store, make_buy(1, at=NOW - timedelta(hours=1)))  # an older fill turns up and opens the position now
    assert [one.opened_by for one in DatabaseExits(engine).load_open(["demo"])] == ["SOL/USDT#1"]
    inherited = only_held(store)
    assert inherited.position.opened_by == "SOL/USDT#1"
    assert inherited.position.quantity == 3
    assert (inherited.stop_loss, inherited.take_profit) == (Decimal(80), Decimal(120))
    assert inherited.alarms[AlarmKind.STALE_PRICE] == Alarm(NOW, NOW, 1)
    assert inherited.valuation is not None
    assert inherited.valuation.price == 90


def test_positions_that_the_ledger_no_longer_has_are_removed(store: DatabasePortfolioStore, engine: Engine) -> None:
    book(store, make_buy())
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fills"))
    book(store)
    assert store.load_held("demo") == []


def test_an_alarm_is_stored_only_over_the_one_it_came_from(store: DatabasePortfolioStore) -> None:
    book(store, make_buy())
    before = only_held(store)
    assert store.save_alarm(before, AlarmKind.STOP_LOSS, Alarm(NOW, NOW, 1))
    assert not store.save_alarm(before, AlarmKind.STOP_LOSS, Alarm(NOW, NOW + timedelta(hours=1), 1))
    assert only_held(store).alarms == {AlarmKind.STOP_LOSS: Alarm(NOW, NOW, 1)}
    assert store.save_alarm(only_held(store), AlarmKind.STOP_LOSS, Alarm(NOW, NOW, 2))


def test_a_changed_limit_arms_its_alarm_and_keeps_the_count(store: DatabasePortfolioStore) -> None:
    book(store, make_buy())
    store.save_limits(only_held(store), Decimal(80), Decimal(120))
    assert only_held(store).alarms[AlarmKind.STOP_LOSS] == Alarm(None, None, 1)
    store.save_alarm(only_held(store), AlarmKind.STOP_LOSS, Alarm(NOW, NOW, 2))
    store.save_limits(only_held(store), Decimal(80), Decimal(130))
    assert only_held(store).alarms[AlarmKind.STOP_LOSS] == Alarm(NOW, NOW, 2)
    store.save_limits(only_held(store), Decimal(70), Decimal(130))
    assert only_held(store).alarms[AlarmKind.STOP_LOSS] == Alarm(None, None, 3)


def test_an_alarm_of_a_position_that_is_gone_is_dropped(store: DatabasePortfolioStore, engine: Engine) -> None:
    book(store, make_buy())
    gone = only_held(store)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM positions"))
    assert not store.save_alarm(gone, AlarmKind.STOP_LOSS, Alarm(NOW, NOW, 1))


def test_another_accounts_books_are_left_alone(store: DatabasePortfolioStore) -> None:
    store.ensure_account(Account("other", AccountKind.LIVE, "simulator", "USDT"), NOW)
    book(store, make_buy())
    with store.open_books("other") as books:  # another account's lock is another one
        books.replace_ledger(build_ledger(books.load_fills()))
        book(store, make_buy(2, price="90"))
    assert only_held(store).position.quantity == 3
    assert store.load_held("other") == []


def test_a_lost_database_is_told_as_such() -> None:
    store = DatabasePortfolioStore(make_engine("postgresql://nobody:x@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailable):
        store.load_held("demo")


CANDLES = [
    ("1d", datetime(2026, 1, 1, tzinfo=UTC), 10.0),  # closes 2026-01-02 00:00
    ("1h", datetime(2026, 1, 2, 2, tzinfo=UTC), 20.1),  # closes 03:00
    ("5m", datetime(2026, 1, 2, 2, 55, tzinfo=UTC), 20.2),  # closes 03:00
    ("5m", datetime(2026, 1, 2, 3, 0, tzinfo=UTC), 30.0),  # closes 03:05
]


@pytest.mark.parametrize(
    ("instant", "price"),
    [
        (datetime(2026, 1, 2, 3, 4, 59, tzinfo=UTC), "20.2"),
        (datetime(2026, 1, 2, 3, 5, tzinfo=UTC), "30"),
        (datetime(2026, 1, 2, 2, 59, tzinfo=UTC), "10"),
        (datetime(2026, 1, 3, 3, 5, tzinfo=UTC), "30"),
        (datetime(2026, 1, 3, 3, 6, tzinfo=UTC), None),
        (datetime(2026, 1, 1, 23, 59, tzinfo=UTC), None),
    ],
    ids=str,
)
def test_the_price_before_an_instant_is_the_newest_close_of_the_day_before(
    engine: Engine, instant: datetime, price: str | None
) -> None:
    with engine.begin() as connection:
        for timeframe, opened_at, close in CANDLES:
            connection.execute(
                text(
                    "INSERT INTO candles (symbol, timeframe, opened_at, open, high, low, close, volume)"
                    " VALUES ('BNB/USDT', :timeframe, :opened_at, :close, :close, :close, :close, 1)"
                ),
                {"timeframe": timeframe, "opened_at": opened_at, "close": close},
            )
    found = DatabaseMarketFacts(engine).load_prices_before("BNB/USDT", [instant, instant + timedelta(days=90)])
    assert [str(historic.price) for historic in found.values()] == ([] if price is None else [str(float(price))])
    assert set(found) <= {instant}


def test_symbols_that_are_not_stored_have_no_listing(engine: Engine) -> None:
    assert DatabaseMarketFacts(engine).load_listings({"SOL/USDT"}) == {}
    assert DatabaseMarketFacts(engine).load_listings(set()) == {}


def test_a_ticket_goes_on_with_the_holding_that_an_older_fill_opens_now(
    store: DatabasePortfolioStore, engine: Engine
) -> None:
    book(store, make_buy(2))
    held = only_held(store)
    proposed = Ticket("demo", "fks-1", "SOL/USDT", Side.SELL, Decimal(1), Decimal(90), "by hand", NOW, "test")
    DatabaseTickets(engine).add(replace(proposed, opened_by=held.position.opened_by))
    book(store, make_buy(1, at=NOW - timedelta(hours=1)))
    stored = DatabaseTickets(engine).load("demo", "fks-1")
    assert stored is not None and stored.opened_by == only_held(store).position.opened_by == "SOL/USDT#1"
