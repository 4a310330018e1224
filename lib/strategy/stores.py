"""What strategies and signals keep and ask of the database.

Every method raises `DatabaseUnavailable` when the connection is refused or lost; repeating it is then safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from lib.notifications.messages import Message
from lib.strategy.sizing import Verdict


class StrategyState(StrEnum):
    """Whether a strategy gives signals. `PINNED`: it does, whatever validation says, until an operator unpins it."""

    ACTIVE = "active"
    PINNED = "pinned"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Registration:
    """A strategy of the code that may be new to the database.

    Attributes:
        name: Its key.
        parameters: Its defaults.
        code_version: Of its file.
    """

    name: str
    parameters: Mapping[str, Any]
    code_version: str


@dataclass(frozen=True)
class Candidate:
    """Parameters that a search found, to be judged before signals use them.

    Attributes:
        strategy: Its name.
        parameters: Those.
        metrics: What speaks for them, for tables and later judgement.
        why: The same for people.
        window_starts_at: Of the candles that chose them, UTC.
        window_ends_at: Of them as well.
        code_version: Of the strategy's file.
    """

    strategy: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    why: str
    window_starts_at: datetime
    window_ends_at: datetime
    code_version: str


@dataclass(frozen=True)
class StoredCandidate:
    """A candidate as it stands.

    Attributes:
        version: Of the strategy's parameters.
        parameters: Those, as stored.
        metrics: What speaks for them, as stored.
        code_version: Of the strategy's file that chose them.
    """

    version: int
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    code_version: str


@dataclass(frozen=True)
class StoredStrategy:
    """A strategy as it stands.

    Attributes:
        name: Its key.
        state: Whether it gives signals.
        why: Why it is so, by whom.
        changed_at: Since when, UTC.
        version: Of the parameters in force.
        parameters: Those, as stored.
    """

    name: str
    state: StrategyState
    why: str
    changed_at: datetime
    version: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class StrategyChange:
    """What a strategy was after one of its changes.

    Attributes:
        strategy: Its name.
        revision: Which change; the first is its registration.
        state: Since then.
        version: Of the parameters in force since then.
        why: Why it was changed, by whom.
        changed_at: UTC.
    """

    strategy: str
    revision: int
    state: StrategyState
    version: int
    why: str
    changed_at: datetime


class StrategyStore(Protocol):
    """Strategies, their parameters, and every change of either."""

    def register(self, strategies: Collection[Registration], now: datetime) -> Sequence[str]:
        """Store those that never were as active with their defaults, and return their names.

        One that is stored stays as it is, disabled or with other parameters.
        """
        ...

    def load_strategies(self) -> Sequence[StoredStrategy]:
        """Return every strategy by name, disabled ones too."""
        ...

    def load_changes(self) -> Sequence[StrategyChange]:
        """Return every change of every strategy, those of each in their order."""
        ...

    def load_parameters(self) -> Mapping[tuple[str, int], Mapping[str, Any]]:
        """Return all parameters that strategies have or had, by name and version."""
        ...

    def change_state(self, name: str, state: StrategyState, why: str, now: datetime) -> bool:
        """Set the state and keep the change; False when it was so already.

        Raises:
            OperatorError: There is no such strategy.
        """
        ...

    def disable(self, strategy: StoredStrategy, why: str, message: Message, now: datetime) -> bool:
        """Disable an active strategy, keep the change, and record its message, all or nothing.

        False, and nothing is done, when its state or parameters are no longer those that were read.
        """
        ...

    def load_candidates(self) -> Mapping[str, StoredCandidate]:
        """Return the candidate of each strategy that has one, by the strategy's name."""
        ...

    def promote(
        self, strategy: StoredStrategy, candidate: StoredCandidate, why: str, message: Message, now: datetime
    ) -> bool:
        """Put a candidate in force in place of an active strategy's parameters, keep the change, record its message.

        All or nothing; False, and nothing is done, when the state, the parameters in force or the candidate are no
        longer those that were read.
        """
        ...

    def save_candidate(self, candidate: Candidate, now: datetime) -> int:
        """Store parameters as a new version in place of the strategy's earlier candidate; return the version.

        The earlier one is retired. Stored again with the same parameters, window and code, it keeps its version.
        """
        ...

    def tell(self, message: Message) -> bool:
        """Record a message about a strategy; False when one with its deduplication key was recorded before."""
        ...


class Action(StrEnum):
    """What a strategy says."""

    BUY = "buy"
    HOLD = "hold"


class SignalKey(NamedTuple):
    """One strategy's word on one symbol when a candle closed."""

    timeframe: str
    opened_at: datetime
    strategy: str
    symbol: str


@dataclass(frozen=True)
class Signal:
    """A signal, for all accounts; once stored, its numbers never change.

    Attributes:
        key: Of which strategy, symbol and candle.
        action: Buy or hold.
        version: Of the strategy's parameters.
        price: The candle's close.
        reasons: Sentences with numbers.
        created_at: UTC.
        stop_loss: Quote per base, below the price; None for a hold.
        take_profit: Quote per base, above the price; None for a hold.
        confidence: 0 to 1, see `Decisions.score`; None for a hold.
        alerted_at: When its message was recorded; None before that.
    """

    key: SignalKey
    action: Action
    version: int
    price: Decimal
    reasons: tuple[str, ...]
    created_at: datetime
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    confidence: float | None = None
    alerted_at: datetime | None = None


@dataclass(frozen=True)
class SignalSize:
    """How much of a BUY an account could carry when it came; never changes.

    Attributes:
        key: Of which signal.
        account: Whose.
        quantity: In base; zero when there is none.
        verdict: The limit that decided, or why there is none.
        detail: The same for people, with the numbers.
        created_at: UTC.
    """

    key: SignalKey
    account: str
    quantity: Decimal
    verdict: Verdict
    detail: str
    created_at: datetime


class SignalStore(Protocol):
    """Signals and their sizes, by candle."""

    def load_signals(self, timeframe: str, opened_at: datetime) -> Mapping[SignalKey, Signal]:
        """Return the signals of the candle that opened then."""
        ...

    def save_signals(self, signals: Collection[Signal]) -> None:
        """Store signals; those that are stored stay as they are."""
        ...

    def load_sizes(self, timeframe: str, opened_at: datetime) -> Sequence[SignalSize]:
        """Return the sizes of the signals of the candle that opened then, by account."""
        ...

    def save_sizes(self, sizes: Collection[SignalSize]) -> None:
        """Store sizes of stored signals; those that are stored stay as they are."""
        ...

    def load_last_rounds(self, timeframe: str, since: datetime, before: datetime) -> Mapping[tuple[str, str], datetime]:
        """Return the newest candle before `before` that each strategy has spoken about, by strategy and symbol.

        Those of candles that opened since, and of the last round before that; who was silent in all of it is absent.
        """
        ...

    def load_untold(self, timeframe: str, since: datetime, before: datetime) -> Mapping[SignalKey, Signal]:
        """Return the BUYs of candles that opened in [since, before) whose message was never recorded."""
        ...

    def tell(self, message: Message, keys: Collection[SignalKey], at: datetime) -> bool:
        """Record a message and note that these signals were told with it, all or nothing.

        False when one with its deduplication key was recorded before; the signals are noted all the same.
        """
        ...


class SentimentStore(Protocol):
    """What the news said."""

    def load_sentiment(self, symbols: Collection[str], at: datetime) -> Mapping[str, float]:
        """Return the mean sentiment of each symbol that has any, -1 to 1, from articles fetched before `at` alone."""
        ...
