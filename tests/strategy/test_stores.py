"""Strategies and signals as they are stored: once, with their history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from lib.adapters.database.notifications import NotificationStore
from lib.adapters.database.portfolio import DatabasePortfolioStore
from lib.adapters.database.signals import DatabaseSignals
from lib.adapters.database.strategies import DatabaseStrategies
from lib.errors import OperatorError
from lib.notifications.messages import Message, MessageType, Severity
from lib.portfolio.accounts import Account, AccountKind
from lib.strategy.sizing import Verdict
from lib.strategy.stores import Action, Registration, Signal, SignalKey, SignalSize, StrategyState
from lib.strategy.switching import set_strategy_state
from lib.units import EPOCH
from tests.portfolio.hand_exchange import HandClock

NOW = EPOCH + timedelta(days=20_000)
LATER = NOW + timedelta(hours=1)
BREAKOUT = Registration("breakout", {"channel": 20}, "abc")
KEY = SignalKey("1h", NOW, "breakout", "SOL/USDT")
BUY = Signal(
    KEY, Action.BUY, 1, Decimal("100.10"), ("close (100.1) is above 99",), LATER, Decimal(95), Decimal(110), 0.4
)
MESSAGE = Message(MessageType.SIGNAL, Severity.INFO, "BUY", "Buy it.", "signal:1", LATER)
SIZE = SignalSize(KEY, "demo", Decimal("1.5"), Verdict.RISK, "1.5 SOL", LATER)


def test_a_strategy_is_registered_active_with_its_defaults(engine: Engine) -> None:
    store = DatabaseStrategies(engine)
    assert store.register([BREAKOUT], NOW) == ["breakout"]
    (stored,) = store.load_strategies()
    assert (stored.name, stored.state, stored.version, stored.parameters, stored.changed_at) == (
        "breakout",
        StrategyState.ACTIVE,
        1,
        {"channel": 20},
        NOW,
    )


def test_a_disabled_strategy_is_never_registered_again(engine: Engine) -> None:
    store = DatabaseStrategies(engine)
    store.register([BREAKOUT], NOW)
    assert store.change_state("breakout", StrategyState.DISABLED, "operator: too many signals", LATER)
    assert store.register([replace(BREAKOUT, parameters={"channel": 30})], LATER) == []
    (stored,) = store.load_strategies()
    assert (stored.state, stored.why) == (StrategyState.DISABLED, "operator: too many signals")
    assert stored.parameters == {"channel": 20}


def test_the_history_of_a_strategy_is_shown_with_its_reasons_the_newest_first(engine: Engine) -> None:
    store = DatabaseStrategies(engine)
    store.register([BREAKOUT, replace(BREAKOUT, name="other")], NOW)
    switch = partial(set_strategy_state, name="breakout", store=store)
    switch(state=StrategyState.DISABLED, why="too many signals", clock=HandClock(LATER))
    again = switch(state=StrategyState.DISABLED, why="still", clock=HandClock(LATER + timedelta(hours=1)))
    assert [(one.state, one.why) for one in again.changes] == [
        (StrategyState.DISABLED, "too many signals"),
        (StrategyState.ACTIVE, "registered with its default parameters"),
    ]
    (table,) = again.render_tables()
    assert "| too many signals" in table


def test_every_change_of_a_strategy_is_kept(engine: Engine) -> None:
    store = DatabaseStrategies(engine)
    store.register([BREAKOUT], NOW)
    assert store.change_state("breakout", StrategyState.DISABLED, "why", LATER)
    assert not store.change_state("breakout", StrategyState.DISABLED, "again", LATER)
    assert store.change_state("breakout", StrategyState.PINNED, "tried by hand", LATER)
    with engine.connect() as connection:
        changes = connection.execute(
            text("SELECT revision, state, version, why FROM strategy_changes ORDER BY revision")
        ).all()
    assert [tuple(change) for change in changes] == [
        (1, "active", 1, "registered with its default parameters"),
        (2, "disabled", 1, "why"),
        (3, "pinned", 1, "tried by hand"),
    ]


def test_an_unknown_strategy_is_refused_with_the_names_there_are(engine: Engine) -> None:
    store = DatabaseStrategies(engine)
    store.register([BREAKOUT], NOW)
    with pytest.raises(OperatorError, match="breakout"):
        store.change_state("break_out", StrategyState.DISABLED, "why", NOW)


def test_a_strategy_has_one_active_version_of_parameters(engine: Engine) -> None:
    DatabaseStrategies(engine).register([BREAKOUT], NOW)
    second = (
        "INSERT INTO strategy_parameters (strategy, version, state, parameters, why, code_version, created_at)"
        " VALUES ('breakout', 2, 'active', '{}', '', '', now())"
    )
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(second))


@pytest.fixture
def signals(engine: Engine) -> DatabaseSignals:
    """The store of an account and a strategy."""
    DatabaseStrategies(engine).register([BREAKOUT], NOW)
    DatabasePortfolioStore(engine).ensure_account(Account("demo", AccountKind.PAPER, "hand", "USDT"), NOW)
    return DatabaseSignals(engine)


def test_a_signal_comes_back_as_it_was_stored(signals: DatabaseSignals) -> None:
    hold = Signal(KEY._replace(symbol="ADA/USDT"), Action.HOLD, 1, Decimal("0.5"), ("no",), LATER)
    signals.save_signals([BUY, hold])
    assert signals.load_signals("1h", NOW) == {BUY.key: BUY, hold.key: hold}
    assert signals.load_signals("1h", LATER) == {}
    assert signals.load_signals("4h", NOW) == {}


def test_a_stored_signal_never_changes(signals: DatabaseSignals) -> None:
    signals.save_signals([BUY])
    signals.save_signals([replace(BUY, price=Decimal(1000), take_profit=Decimal(2000))])
    assert signals.load_signals("1h", NOW)[KEY] == BUY


def test_sizes_come_back_by_account_and_never_change(signals: DatabaseSignals) -> None:
    signals.save_signals([BUY])
    signals.save_sizes([SIZE])
    signals.save_sizes([replace(SIZE, quantity=Decimal(9))])
    assert signals.load_sizes("1h", NOW) == [SIZE]


def test_a_signal_is_marked_as_told_once(signals: DatabaseSignals) -> None:
    signals.save_signals([BUY])
    assert list(signals.load_untold("1h", NOW, LATER)) == [KEY]
    assert signals.tell(MESSAGE, [KEY], LATER)
    assert not signals.tell(MESSAGE, [KEY], LATER + timedelta(hours=1))
    assert signals.load_signals("1h", NOW)[KEY].alerted_at == LATER
    assert not signals.load_untold("1h", NOW, LATER)


def test_untold_buys_are_those_of_earlier_candles(signals: DatabaseSignals) -> None:
    hold = Signal(KEY._replace(symbol="ADA/USDT"), Action.HOLD, 1, Decimal("0.5"), ("no",), LATER)
    signals.save_signals([BUY, hold, replace(BUY, key=KEY._replace(opened_at=LATER))])
    assert signals.load_untold("1h", NOW, LATER) == {KEY: BUY}


def test_the_last_round_is_found_before_the_candles_that_are_looked_at(signals: DatabaseSignals) -> None:
    days = [NOW - timedelta(days=day) for day in (0, 1, 5, 6)]
    signals.save_signals([replace(BUY, key=KEY._replace(opened_at=day)) for day in days])
    other = ("breakout", "ADA/USDT")  # has spoken in that round, but not since
    signals.save_signals([replace(BUY, key=KEY._replace(opened_at=days[2], symbol="ADA/USDT"))])
    sol = ("breakout", "SOL/USDT")
    assert signals.load_last_rounds("1h", days[2] + timedelta(hours=1), NOW) == {sol: days[1], other: days[2]}
    assert signals.load_last_rounds("1h", days[3], days[3]) == {}
    assert signals.load_last_rounds("4h", days[3], NOW) == {}


def test_a_message_is_not_recorded_when_its_signal_cannot_be_marked(signals: DatabaseSignals, engine: Engine) -> None:
    signals.save_signals([BUY])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE signals ADD CONSTRAINT refused CHECK (alerted_at IS NULL)"))
    with pytest.raises(IntegrityError):
        signals.tell(MESSAGE, [KEY], LATER)
    assert NotificationStore(engine).load_unrouted(10) == {}


def test_a_buy_without_a_stop_is_refused_by_the_table(signals: DatabaseSignals) -> None:
    with pytest.raises(IntegrityError):
        signals.save_signals([replace(BUY, stop_loss=None)])
