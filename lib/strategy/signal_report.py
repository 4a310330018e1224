"""What `generate_signals` reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.portfolio.money import format_number
from lib.results import Item, TaskResult
from lib.strategy.signal_alerts import calc_valid_until
from lib.strategy.stores import Action, Signal, SignalKey, SignalSize

MAX_ROWS = 50  # of a table; what says BUY or is stale has a row all the same
LONGEST_REASON = 90
WORDS = {Action.BUY: "🚀 BUY", Action.HOLD: "hold"}


class Opinion(BaseModel):
    """What one strategy says of a symbol, with the reason that decided."""

    model_config = ConfigDict(frozen=True)

    strategy: str
    action: Action
    reason: str


class SymbolLine(BaseModel):
    """A symbol with what every active strategy says of it.

    Attributes:
        symbol: "SOL/USDT".
        price: The candle's close; None without that candle.
        freshness: Which candle decided, or why there is no signal.
        opinions: By strategy; none without the candle, or when no strategy is active.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    price: Decimal | None
    freshness: str
    opinions: tuple[Opinion, ...] = ()

    @property
    def is_buy(self) -> bool:
        """Whether any strategy says buy."""
        return any(opinion.action is Action.BUY for opinion in self.opinions)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is said of it, mostly because its candle is missing."""
        return not self.opinions


class BuyLine(BaseModel):
    """A BUY with what one account would do; `quantity` is None where its state is not known."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    strategy: str
    price: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    confidence: float | None
    valid_until: datetime
    account: str
    quantity: Decimal | None
    detail: str


class SignalsResult(TaskResult):
    """The result of `generate_signals`.

    Attributes:
        buys: Every BUY of the candle, for each account.
        symbols: Every symbol, those with a BUY first.
    """

    buys: tuple[BuyLine, ...] = ()
    symbols: tuple[SymbolLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of the buys, and of all symbols with signal and reason."""
        return [table for table in (_render_buys(self.buys), _render_symbols(self.symbols)) if table]


def build_buy_lines(
    buys: Iterable[Signal], sizes: Mapping[SignalKey, Sequence[SignalSize]], unsized: Mapping[str, str]
) -> tuple[BuyLine, ...]:
    """Return a line for each buy and account, the strongest buys first."""
    lines = []
    for buy in sorted(buys, key=lambda one: -(one.confidence or 0.0)):
        for account, quantity, detail in (
            *((size.account, size.quantity, size.detail) for size in sizes[buy.key]),
            *((account, None, f"not sized: {why}") for account, why in unsized.items()),
        ):
            lines.append(_to_buy_line(buy, account, quantity, detail))
    return tuple(lines)


def _to_buy_line(buy: Signal, account: str, quantity: Decimal | None, detail: str) -> BuyLine:
    return BuyLine(
        symbol=buy.key.symbol,
        strategy=buy.key.strategy,
        price=buy.price,
        stop_loss=buy.stop_loss,
        take_profit=buy.take_profit,
        confidence=buy.confidence,
        valid_until=calc_valid_until(buy.key),
        account=account,
        quantity=quantity,
        detail=detail,
    )


def build_symbol_lines(
    symbols: Sequence[str], signals: Mapping[SignalKey, Signal], items: Sequence[Item], opened_at: datetime
) -> tuple[SymbolLine, ...]:
    """Return a line for each symbol; one without signals says why, as its item does."""
    by_symbol: dict[str, list[Signal]] = {symbol: [] for symbol in symbols}
    for signal in signals.values():
        by_symbol[signal.key.symbol].append(signal)
    why = {item.name: item.detail for item in items}
    return tuple(
        SymbolLine(
            symbol=symbol,
            price=found[0].price if found else None,
            freshness=f"{opened_at:%m-%d %H:%M}" if found else why.get(symbol) or "HOLD: no strategy has spoken",
            opinions=tuple(
                Opinion(strategy=signal.key.strategy, action=signal.action, reason=signal.reasons[0])
                for signal in found
            ),
        )
        for symbol, found in by_symbol.items()
    )


def _render_buys(buys: Sequence[BuyLine]) -> str:
    rows = [
        (
            buy.symbol,
            buy.strategy,
            format_number(buy.price),
            format_number(buy.stop_loss or Decimal(0)),
            format_number(buy.take_profit or Decimal(0)),
            f"{buy.confidence or 0.0:.2f}",
            f"{buy.valid_until:%H:%M}",
            buy.account,
            format_number(buy.quantity) if buy.quantity else "none",
            buy.detail,
        )
        for buy in buys[:MAX_ROWS]
    ]
    headers = ("BUY", "strategy", "price", "stop", "target", "confidence", "until (UTC)", "account", "quantity", "why")
    table = tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) if rows else ""
    more = [
        f"{buy.symbol} {buy.strategy} {buy.account}: {format_number(buy.quantity) if buy.quantity else 'none'}"
        for buy in buys[MAX_ROWS:]
    ]
    return f"{table}\n\nAnd BUY: {'; '.join(more)}" if more else table


def _render_symbols(lines: Sequence[SymbolLine]) -> str:
    """BUYs and symbols without a signal first; where a table would be too long, the last holds are named below it."""
    if not lines:
        return ""
    names = sorted({opinion.strategy for line in lines for opinion in line.opinions})
    ranked = sorted(lines, key=lambda line: 0 if line.is_buy else 1 if line.is_silent else 2)
    shown = max(MAX_ROWS, sum(line.is_buy or line.is_silent for line in lines))
    rows = []
    for line in ranked[:shown]:
        opinions = {opinion.strategy: opinion for opinion in line.opinions}
        cells = (_render_opinion(opinions.get(name)) for name in names)
        rows.append((line.symbol, _render_price(line), line.freshness, *cells))
    headers = ("symbol", "close", "candle (UTC)", *names)
    table = tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)
    more = ", ".join(f"{line.symbol} ({_render_price(line)})" for line in ranked[shown:])
    return f"{table}\n\nAnd {len(lines) - shown} on hold: {more}" if more else table


def _render_price(line: SymbolLine) -> str:
    return format_number(line.price) if line.price is not None else ""


def _render_opinion(opinion: Opinion | None) -> str:
    if opinion is None:
        return ""
    reason = opinion.reason if len(opinion.reason) <= LONGEST_REASON else opinion.reason[: LONGEST_REASON - 1] + "…"
    return f"{WORDS[opinion.action]}: {reason}"
