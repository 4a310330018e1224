"""What goes wrong in chaos: faults of the exchange, and other hands on the account between a check and its order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from lib.execution.orders import OrderIntent, OrderReport
from lib.portfolio.fills import Side
from tests.execution.worker import SECRET, MortalOrders
from tests.simulator.signed_client import signed_client
from tests.simulators import Control, ControlRefused, RunningSimulator

LIST = ("POST", "/api/v3/orderList/oco")
POST, GET, FILLS = ("POST", "/api/v3/order"), ("GET", "/api/v3/order"), ("GET", "/api/v3/myTrades")
ANYTHING, CANCEL = ("GET", "/api/*"), ("DELETE", "/api/v3/order*")
FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("timeout_before", {"seconds": 1}),
    ("timeout_after", {"seconds": 1}),
    *[("delay", {"seconds": 0.8})] * 3,  # booked after the client has gone
    *[("delay", {"seconds": 1.3})] * 2,  # refused, since its attempt is too old by then
    *[("delay", {"seconds": 2.5})] * 2,  # so too, when its place may have been taken by another attempt
    ("drop_before", {}),
    ("drop_after", {}),
    ("unknown_before", {}),  # -1007
    ("unknown_after", {}),
    ("status", {"status": 500}),
    ("status", {"status": 503}),
    ("status", {"status": 429, "retry_after": 1}),
    ("timestamp", {}),
    ("body", {"variant": "empty"}),
    ("body", {"variant": "truncated"}),
    ("body", {"variant": "html"}),
    ("types", {"variant": "numbers_as_text"}),
    ("types", {"variant": "nan"}),
)
MATCHING: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "partial_fill",
        {"fraction": "0.5", "hold_seconds": 1},
    ),  # of what rests, the rest follows; of what does not, expires
    ("reject", {}),  # booked as rejected
    ("reject", {"reason": "Account has insufficient balance for requested action."}),  # and refused
)
HAND = "hand-"  # what the orders of other hands are named


def arm_something(
    simulator: RunningSimulator, choices: random.Random, counts: Counter[str], *, symbol: str | None = None
) -> None:
    """Arm a fault that strikes soon, and count it.

    Args:
        simulator: Where.
        choices: Seeded.
        counts: Of everything that was armed.
        symbol: Of the orders that are filled in part; None: all.
    """
    if choices.random() < 0.2:
        kind, how = choices.choice(MATCHING)
        simulator.control.arm(kind, symbol=symbol if kind == "partial_fill" else None, **how)
        counts[f"armed {kind}"] += 1
        return
    method, path = choices.choices([POST, GET, FILLS, ANYTHING, LIST, CANCEL], weights=[6, 2, 2, 1, 1, 1])[0]
    kind, how = choices.choice(FAULTS)
    if len(simulator.control.request("GET", "/faults")["faults"]) >= 3:  # some wait long for their request
        simulator.control.clear_faults()
    simulator.control.arm(kind, path, method, **how)
    counts[f"armed {kind} {method}"] += 1


def take_away(control: Control, account: str, asset: str, share: str = "1") -> str | None:
    """Withdraw a share of what is free; return the amount, None when there is nothing."""
    held = control.request("GET", "/books")["accounts"][account]["balances"].get(asset, {"free": "0"})
    amount = (Decimal(held["free"]) * Decimal(share)).quantize(Decimal("1e-8"), ROUND_DOWN)
    if not amount:
        return None
    try:
        control.request("POST", "/withdraw", api_key=account, asset=asset, amount=str(amount))
    except ControlRefused:  # it was just spent
        return None
    return str(amount)


class Deed(StrEnum):
    """What another hand does with an account just before one of its orders is sent."""

    WITHDRAWS_ALL = "withdraws all"
    WITHDRAWS_SOME = "withdraws some"
    SELLS = "sells"
    BUYS = "buys"


@dataclass(frozen=True)
class OtherHand:
    """Uses an account once, after the checks of an order have passed and before it is sent.

    Attributes:
        deed: What it does.
        simulator_url: Where.
        account: Whose; also its key.
        mark: A file that says that it was done, also for a process that follows a killed one.
    """

    deed: Deed
    simulator_url: str
    account: str
    mark: Path

    def strike(self, intent: OrderIntent) -> None:
        """Do it, unless it was done."""
        if self.mark.exists():
            return
        self.mark.touch()
        control = Control(self.simulator_url)
        base, _, quote = intent.symbol.partition("/")
        paid_in = base if intent.side is Side.SELL else quote
        try:
            if self.deed in (Deed.WITHDRAWS_ALL, Deed.WITHDRAWS_SOME):
                take_away(control, self.account, paid_in, "1" if self.deed is Deed.WITHDRAWS_ALL else "0.4")
            else:
                self._trade(RunningSimulator(self.simulator_url, control), intent)
        finally:
            control.close()

    def _trade(self, simulator: RunningSimulator, intent: OrderIntent) -> None:
        side = "SELL" if self.deed is Deed.SELLS else "BUY"
        name = f"{HAND}{self.mark.stem}"[:36]
        with signed_client(simulator, self.account, SECRET) as client, suppress(httpx.HTTPError):
            what = {"symbol": intent.symbol.replace("/", ""), "side": side, "type": "MARKET"}
            client.send("POST", "/order", **what, quoteOrderQty=30, newClientOrderId=name)  # it may be refused, too


class DisturbedOrders(MortalOrders):
    """A venue beside which another hand trades."""

    other_hand: OtherHand | None = None

    async def submit(self, intent: OrderIntent, attempted_at: datetime) -> OrderReport:
        if self.other_hand is not None:
            await asyncio.to_thread(self.other_hand.strike, intent)
        return await super().submit(intent, attempted_at)
