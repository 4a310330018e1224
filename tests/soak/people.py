"""What people do besides: trades and transfers on the exchange itself, paper trades, limits, halts, archives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import ccxt

from deployments.by_hand import ByHand
from lib.execution.halt import Halt
from lib.execution.opening import OpeningWish
from lib.notifications.messages import MessageType
from lib.paper.account import Wish
from lib.portfolio.fills import Side
from lib.ports import Clock
from lib.simulator.demo_account import DEMO_KEY, DEMO_SECRET
from lib.strategy.stores import StrategyState
from lib.tasks import archive, market, notifications, portfolio, strategies
from lib.units import to_milliseconds
from tests.simulators import ControlRefused
from tests.soak.driver import Driver
from tests.soak.orders import Orders
from tests.soak.stage import ALTS, ASKS, BACKFILLED, KEYS, MAINS, PAPER, SELLS, SELLS_KEY, SELLS_SECRET

LIVE = (ASKS, SELLS)
A_DAY = timedelta(days=1)


class Hand(ByHand):
    """An account's owner, whose clock is the exchange's."""

    def __init__(self, url: str, key: str, secret: str, clock: Clock) -> None:
        super().__init__(url, key, secret)
        self._client.nonce = lambda: to_milliseconds(clock.now())


class People:
    """Does something now and then, by seed."""

    def __init__(self, driver: Driver, orders: Orders, choices: Random, step: timedelta) -> None:
        self._driver, self._orders, self._choices, self._step = driver, orders, choices, step
        self._stage = driver.stage
        self._hands = {
            ASKS: Hand(self._stage.url, DEMO_KEY, DEMO_SECRET, self._stage.clock),
            SELLS: Hand(self._stage.url, SELLS_KEY, SELLS_SECRET, self._stage.clock),
        }
        self._halted_until: datetime | None = None
        self._numbers = 0

    async def begin(self) -> None:
        """Bring back a part of the past, which the archive takes out again by night."""
        start = self._stage.clock.now() - BACKFILLED
        await self._driver.attempt(
            "backfill_market_data",
            lambda: market.backfill_market_data(
                self._stage.platform, ["BTC/USDT", "SOL/USDT"], ["5m"], start=start, end=start + timedelta(days=3)
            ),
        )

    async def act(self) -> None:
        """Do what is due in this round."""
        if self._halted_until is not None and self._stage.clock.now() >= self._halted_until:
            self._driver.halt, self._halted_until = None, None
        for per_day, deed in self._list_deeds():
            if self._choices.random() < per_day * (self._step / A_DAY):
                self._numbers += 1
                self._driver.log.events[f"people: {deed.__name__.strip('_').replace('_', ' ')}"] += 1
                await deed()

    def _list_deeds(self) -> tuple[tuple[float, Callable[[], Awaitable[None]]], ...]:
        return (
            (4.0, self._trade_on_the_exchange),
            (2.0, self._deposit),
            (1.5, self._withdraw),
            (4.0, self._trade_on_paper),
            (4.0, self._set_limits),
            (2.0, self._open_by_hand),
            (2.0, self._close_by_hand),
            (0.3, self._halt_trading),
            (1.0, self._say_something),
            (4.0, self.enable_strategies),
            (0.3, self._restore_an_archive),
        )

    def _choose_symbol(self) -> str:
        return f"{self._choices.choice((*MAINS, *ALTS))}/USDT"

    async def _trade_on_the_exchange(self) -> None:
        hand, symbol = self._hands[self._choices.choice(LIVE)], self._choose_symbol()
        try:
            if self._choices.random() < 0.4:
                await asyncio.to_thread(hand.sell_all, symbol)
            else:
                price = Decimal(self._price_of(symbol))
                await asyncio.to_thread(hand.buy, symbol, Decimal(self._choices.randint(100, 1500)) / price)
        except ccxt.BaseError as error:  # the weather is bad for people too, or there is nothing to sell
            self._driver.log.events[f"people: {type(error).__name__}"] += 1

    def _price_of(self, symbol: str) -> Any:
        [[price]] = self._stage.query(
            "SELECT close FROM candles WHERE symbol = :symbol AND timeframe = '5m' ORDER BY opened_at DESC LIMIT 1",
            symbol=symbol,
        )
        return price

    async def _deposit(self) -> None:
        asset = self._choices.choice(("USDT", "USDT", "BTC", "SOL", "LINK"))
        amount = Decimal(self._choices.randint(100, 3000)) if asset == "USDT" else Decimal("0.25")
        key = KEYS[self._choices.choice(LIVE)]
        self._stage.control.request("POST", "/deposit", api_key=key, asset=asset, amount=str(amount))

    async def _withdraw(self) -> None:
        asset = self._choices.choice(("USDT", "USDT", "SOL"))
        amount, fee = (Decimal(self._choices.randint(100, 2000)), "1") if asset == "USDT" else (Decimal("0.5"), "0.01")
        key = KEYS[self._choices.choice(LIVE)]
        try:
            self._stage.control.request("POST", "/withdraw", api_key=key, asset=asset, amount=str(amount), fee=fee)
        except ControlRefused:
            self._driver.log.events["people: had too little"] += 1

    async def _trade_on_paper(self) -> None:
        side = self._choices.choice((Side.BUY, Side.BUY, Side.SELL))
        wish = Wish(self._choose_symbol(), side, f"paper {self._numbers}", notional=Decimal(500))
        await self._driver.attempt(
            "trade_on_paper",
            lambda: portfolio.trade_on_paper(self._stage.platform, PAPER, wish, self._driver.halted),
        )

    async def _set_limits(self) -> None:
        """Move a stop loss and a take profit near, so that they are reached."""
        rows = self._stage.query(
            "SELECT account, symbol, price FROM positions WHERE closed_at IS NULL AND price IS NOT NULL ORDER BY 1, 2"
        )
        if not rows:
            return
        row = self._choices.choice(rows)
        await self._driver.attempt(
            "set_stop_loss",
            lambda: portfolio.set_stop_loss(
                self._stage.platform,
                row.account,
                row.symbol,
                round(row.price * Decimal("0.985"), 6),
                round(row.price * Decimal("1.02"), 6),
                remove_stop_loss=False,
                remove_take_profit=False,
            ),
        )

    async def _open_by_hand(self) -> None:
        account, symbol = self._choices.choice((*LIVE, PAPER)), self._choose_symbol()
        stop = round(Decimal(self._price_of(symbol)) * Decimal("0.97"), 6)
        await self._orders.buy(OpeningWish(account, symbol, notional=Decimal(700), stop_loss=stop))

    async def _close_by_hand(self) -> None:
        rows = self._stage.query("SELECT account, symbol FROM positions WHERE closed_at IS NULL ORDER BY 1, 2")
        if rows:
            row = self._choices.choice(rows)
            await self._orders.sell(row.account, row.symbol, self._choices.choice((30, 100)))

    async def _halt_trading(self) -> None:
        now = self._stage.clock.now()
        self._driver.halt = Halt("prices look wrong", "Ada", now)
        self._halted_until = now + timedelta(minutes=45)

    async def _say_something(self) -> None:
        key = f"note {self._numbers}"
        said = await self._driver.attempt(
            "send_notifications",
            lambda: notifications.send_notifications(
                self._stage.platform, MessageType.OPERATIONS, "All is well.", urgent=True, key=key
            ),
        )
        if not isinstance(said, Exception):
            now = self._stage.clock.now()
            self._driver.log.expect("a person's note", f"operations:note:{key}", now, before=timedelta(minutes=5))

    async def enable_strategies(self) -> None:
        """Switch those on again that the nightly validation has disabled."""
        for row in self._stage.query("SELECT name FROM strategies WHERE state = 'disabled' ORDER BY name"):
            await self._driver.attempt(
                "set_strategy_state",
                lambda name=row.name: strategies.set_strategy_state(  # type: ignore[misc]  # bound in this round
                    self._stage.platform, name, StrategyState.ACTIVE, "It deserves another chance."
                ),
            )

    async def _restore_an_archive(self) -> None:
        start = self._stage.clock.now() - BACKFILLED - timedelta(days=31)
        await self._driver.attempt(
            "restore_archive",
            lambda: archive.restore_archive(
                self._stage.platform, ["BTC/USDT"], ["5m"], start=start, end=start + timedelta(days=62), keep_days=2
            ),
        )
