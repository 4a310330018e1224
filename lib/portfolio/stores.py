"""What the portfolio keeps and asks of the database.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from lib.market.symbols import SymbolStatus
from lib.notifications.messages import Message
from lib.portfolio.accounts import Account
from lib.portfolio.adjustments import Adjustment, Opening
from lib.portfolio.alarms import Alarm, AlarmKind
from lib.portfolio.exits import ExitPolicy
from lib.portfolio.fills import Balance, BookedFill, Fill
from lib.portfolio.ledger import Ledger, Position
from lib.portfolio.valuation import Valuation


@dataclass(frozen=True)
class Listing:
    """What the platform knows of a symbol; steps and minima are None for one the exchange does not have.

    Attributes:
        status: Whether it trades.
        quantity_step: Base.
        price_step: Quote per base.
        min_quantity: Base; of one order.
        min_notional: Quote; of one order.
    """

    status: SymbolStatus
    quantity_step: Decimal | None
    price_step: Decimal | None
    min_quantity: Decimal | None
    min_notional: Decimal | None


@dataclass(frozen=True)
class HistoricPrice:
    """The close of a stored candle, quote per base, and when that candle closed."""

    price: Decimal
    timeframe: str
    closed_at: datetime


class MarketFacts(Protocol):
    """What the portfolio asks of the stored market data."""

    def load_listings(self, symbols: Collection[str]) -> Mapping[str, Listing]:
        """Return those of the symbols that are known."""
        ...

    def load_prices_before(self, symbol: str, instants: Sequence[datetime]) -> Mapping[datetime, HistoricPrice]:
        """Return for each instant the newest candle of any timeframe that closed within the day before it, if any."""
        ...


@dataclass(frozen=True)
class SeenBalance:
    """An asset's total at the last import, and when it last changed."""

    total: Decimal
    changed_at: datetime


@dataclass(frozen=True)
class ImportState:
    """What is known of an account before an import.

    Attributes:
        seen: Balances by asset; the symbols that may explain a change up to them were imported, or failed.
        asked_at: When each symbol's fills were last imported; None for one whose last import failed.
        open_symbols: Symbols with an open position.
        unvalued: Stored fills whose fee has no value yet.
        failing_since: The first failure of each symbol that failed ever since.
        imported_at: When the account was last imported; when it was registered, if it never was.
    """

    seen: Mapping[str, SeenBalance] = field(default_factory=dict)
    asked_at: Mapping[str, datetime | None] = field(default_factory=dict)
    open_symbols: frozenset[str] = frozenset()
    unvalued: tuple[BookedFill, ...] = ()
    failing_since: Mapping[str, datetime] = field(default_factory=dict)
    imported_at: datetime | None = None


@dataclass(frozen=True)
class HeldPosition:
    """An open position with its last valuation, its limits and its alarms.

    Attributes:
        account: Whose it is.
        position: From the ledger.
        valuation: None until it was priced once.
        stop_loss: Quote per base; None when none is set.
        take_profit: Quote per base; None when none is set.
        alarms: What people were told; a kind nobody was told of is absent.
        balance: What the account held of its base asset when it was last imported, free and locked; None before that.
    """

    account: str
    position: Position
    valuation: Valuation | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    alarms: Mapping[AlarmKind, Alarm] = field(default_factory=dict)
    balance: Decimal | None = None

    @property
    def symbol(self) -> str:
        """The position's symbol."""
        return self.position.symbol

    @property
    def name(self) -> str:
        """Its name in reports: "demo SOL/USDT"."""
        return f"{self.account} {self.symbol}"

    @property
    def is_covered(self) -> bool:
        """Whether the account holds the whole position, to one step; a part may have left in a way not known yet."""
        return self.balance is None or self.position.quantity - self.balance <= self.position.quantity_step


class Books(Protocol):
    """One account's fills and positions, locked for one writer within one transaction."""

    def load_stored(self, fills: Sequence[Fill]) -> Mapping[str, Fill]:
        """Return those of the fills that are stored, as stored, by key."""
        ...

    def add_fills(self, fills: Sequence[BookedFill], now: datetime) -> None:
        """Store fills that are not stored yet."""
        ...

    def value_fees(self, fills: Sequence[BookedFill]) -> None:
        """Store the fee values of fills that have none; a value is fixed once."""
        ...

    def load_fills(self) -> Sequence[BookedFill]:
        """Return every fill of the account."""
        ...

    def load_adjustments(self) -> Sequence[Adjustment]:
        """Return every ledger entry of the account that is no fill."""
        ...

    def add_adjustments(self, adjustments: Sequence[Adjustment], now: datetime) -> None:
        """Store ledger entries that are not stored yet."""
        ...

    def load_opening(self) -> Opening | None:
        """Return where the account's expected holdings begin; None before the first comparison."""
        ...

    def load_newest_at(self) -> datetime | None:
        """Return when the newest stored entry of the ledger was: a fill, an adjustment, or the opening."""
        ...

    def load_newest_positions(self) -> Sequence[Position]:
        """Return the newest position of each symbol, open or closed."""
        ...

    def extend_ledger(self, ledger: Ledger) -> None:
        """Add what a ledger that began with the newest positions has made of later fills."""
        ...

    def replace_ledger(self, ledger: Ledger) -> None:
        """Make the stored positions those of the ledger; limits, alarms and prices of a position stay with it.

        When the open position of a symbol has another opening fill than before, because an older fill turned up, it
        inherits them, so that no stop loss is lost; unless all its fills are new: then it is another holding.
        """
        ...

    def load_held(self) -> Sequence[HeldPosition]:
        """Return the open positions by symbol."""
        ...

    def save_valuations(self, valuations: Mapping[str, Valuation]) -> None:
        """Store the valuation of the open position of each symbol."""
        ...

    def save_import(self, balances: Collection[Balance], symbols: Mapping[str, bool], now: datetime) -> None:
        """Store the balances as seen, and of each symbol asked whether it was imported."""
        ...


class PortfolioStore(Protocol):
    """Accounts and what they hold."""

    def ensure_account(self, account: Account, now: datetime) -> None:
        """Register the account.

        Raises:
            SettingsError: It is registered with another kind, exchange or quote asset.
        """
        ...

    def load_account(self, name: str) -> Account:
        """Return a registered account.

        Raises:
            OperatorError: It is not registered.
        """
        ...

    def load_holders(self) -> Sequence[Account]:
        """Return the accounts with open positions, by name, whether the settings know them or not."""
        ...

    def load_import_state(self, account: str) -> ImportState:
        """Return what the next import starts from."""
        ...

    def load_resume_ids(self, account: str, symbols: Collection[str], settled_before: datetime) -> Mapping[str, int]:
        """Return the newest stored fill id before that instant of each symbol that has one."""
        ...

    def open_books(self, account: str) -> AbstractContextManager[Books]:
        """Begin a transaction as the account's only writer; it is committed unless an error leaves it."""
        ...

    def load_held(self, account: str) -> Sequence[HeldPosition]:
        """Return the open positions by symbol."""
        ...

    def save_limits(self, held: HeldPosition, stop_loss: Decimal | None, take_profit: Decimal | None) -> bool:
        """Set both limits and arm the alarm of each that changes anew.

        False, and nothing set, when the position was closed or its limits were changed since `held` was loaded.
        """
        ...

    def save_alarm(
        self,
        held: HeldPosition,
        kind: AlarmKind,
        alarm: Alarm,
        message: Message | None = None,
        policy: ExitPolicy = ExitPolicy.ALERT,
    ) -> bool:
        """Store an alarm in place of the one that `held` was loaded with, together with what follows from it.

        That is the message that tells of it, and the exit that the policy wants, unless this limit of the position has
        an open one; one of the other limit gives way to it (`lib.portfolio.exits`). All or nothing, also when the
        process is killed. False, and nothing stored, when the alarm has changed since or the position is gone.
        """
        ...
