"""What messages tell people to run is what can be run."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from decimal import Decimal

from flows.on_demand import close_position, open_position
from lib.portfolio.alarms import AlarmKind
from lib.portfolio.alerts import render_alert
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.ledger import Position
from lib.portfolio.stores import HeldPosition
from lib.portfolio.valuation import Valuation
from lib.strategy.signal_alerts import write_signal
from lib.strategy.stores import Action, Signal, SignalKey

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PARAMETER = re.compile(r"(\w+)=")


def test_a_buy_names_the_parameters_of_open_position() -> None:
    key = SignalKey("1h", NOW, "breakout", "SOL/USDT")
    signal = Signal(key, Action.BUY, 1, Decimal(100), ("it broke out",), NOW, Decimal(90), Decimal(120), confidence=0.5)
    body = write_signal(signal, (), (), (), NOW).body
    told = body.partition("the flow open-position with ")[2].partition(";")[0]
    assert PARAMETER.findall(told) == ["account", "symbol", "strategy", "timeframe", "execute"]
    assert set(PARAMETER.findall(told)) <= set(inspect.signature(open_position.fn).parameters)
    assert "strategy=breakout" in told and "timeframe=1h" in told


def test_a_stop_loss_names_the_parameters_of_close_position_and_what_the_policy_does() -> None:
    position = Position(
        symbol="SOL/USDT",
        opened_by="SOL/USDT#1",
        opened_at=NOW,
        closed_at=None,
        quantity=Decimal(2),
        cost_quote=Decimal(200),
        average_cost=Decimal(100),
        realized_pnl_quote=Decimal(0),
        fees_quote=Decimal(0),
        quantity_step=Decimal("0.01"),
    )
    held = HeldPosition("demo", position, Valuation(Decimal(85), NOW, Decimal(-30), Decimal(-15)), Decimal(90))
    for policy, words in (
        (ExitPolicy.ALERT, None),
        (ExitPolicy.APPROVE, "waits for your approval"),
        (ExitPolicy.EXIT, "sells it now"),
    ):
        body = render_alert(AlarmKind.STOP_LOSS, held, NOW, policy).body
        told = body.partition("the flow close-position with ")[2].partition(" or sell")[0]
        wanted = {"account", "symbol", "execute"} if policy is ExitPolicy.ALERT else set()  # nobody sells twice
        assert set(PARAMETER.findall(told)) == wanted
        assert set(PARAMETER.findall(told)) <= set(inspect.signature(close_position.fn).parameters)
        assert ("What is done" in body) == (words is not None) and (words or "") in body
        assert "What to do: " in body
