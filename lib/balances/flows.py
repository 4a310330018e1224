"""Cash flows: what changes an account's holdings without a trade, and is no profit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from lib.portfolio.adjustments import RETURNED
from lib.portfolio.money import EXACT
from lib.portfolio.state import AssetPrice
from lib.portfolio.stores import MarketFacts

UNKNOWN = "no price known yet"


class FlowKind(StrEnum):
    """What a flow is. Deposits and withdrawals are no profit; the others are.

    `TRADE`: one side of a trade in a market that is not watched, or of a conversion. `OTHER`: interest, an airdrop, a
    charge, theft.
    """

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRADE = "trade"
    OTHER = "other"


class FlowSource(StrEnum):
    """Who says so: the exchange's history, or an operator about a difference that no history explains."""

    EXCHANGE = "exchange"
    OPERATOR = "operator"


CAPITAL = frozenset({FlowKind.DEPOSIT, FlowKind.WITHDRAWAL})


@dataclass(frozen=True)
class CashFlow:
    """One movement of an asset into or out of an account.

    Attributes:
        account: Our account's name.
        flow_id: Unique within the account: "deposit:769800519366885376".
        kind: What it is.
        asset: What moved.
        amount: Of the asset, never 0; negative when it left, the network's fee included.
        at: When the exchange booked it, UTC.
        is_booked: Whether the exchange's balance contains it. A deposit does once it is credited; a withdrawal from its
            request until it fails.
        source: Who says so.
        note: An operator's words.
    """

    account: str
    flow_id: str
    kind: FlowKind
    asset: str
    amount: Decimal
    at: datetime
    is_booked: bool
    source: FlowSource = FlowSource.EXCHANGE
    note: str = ""


@dataclass(frozen=True)
class ValuedFlow:
    """A cash flow with its value.

    Attributes:
        flow: What moved.
        value_quote: In the account's quote asset at the time, signed as the amount; None while no price is known.
        priced_by: Where the value comes from.
        counted_at: The snapshot that contains it first; None until it is booked and has a value.
    """

    flow: CashFlow
    value_quote: Decimal | None = None
    priced_by: str = UNKNOWN
    counted_at: datetime | None = None

    @property
    def is_capital(self) -> bool:
        """Whether it is money of the owner, and so neither profit nor loss."""
        return self.flow.kind in CAPITAL


def merge_flows(stored: Mapping[str, ValuedFlow], told: Iterable[CashFlow], now: datetime) -> list[ValuedFlow]:
    """Return the flows that are new or have changed since they were stored.

    A withdrawal that was counted as gone and failed later stays, and a flow of the opposite amount takes it back now:
    the snapshots in between were without the money.

    Args:
        stored: Flows by id.
        told: What the exchange says now.
        now: When it failed, as far as we know, UTC.
    """
    changed = []
    for flow in told:
        before = stored.get(flow.flow_id)
        if before is None:
            changed.append(ValuedFlow(flow))
        elif before.counted_at is not None and not flow.is_booked:
            back = replace(before.flow, flow_id=flow.flow_id + RETURNED, amount=-before.flow.amount, at=now)
            if back.flow_id not in stored:
                changed.append(ValuedFlow(back))
        elif before.counted_at is None and before.flow != flow:
            changed.append(ValuedFlow(flow))
    return changed


def value_flows(
    flows: Sequence[ValuedFlow], *, quote_asset: str, market: MarketFacts, prices: Mapping[str, AssetPrice]
) -> list[ValuedFlow]:
    """Give each flow without a value the one it had when it was booked.

    By the newest candle closed within the day before, else by the current price; without either it waits.

    Args:
        flows: With or without a value.
        quote_asset: Of their account.
        market: For stored candles.
        prices: Current ones, by asset.
    """
    with localcontext(EXACT):
        return [one if one.value_quote is not None else _value(one, quote_asset, market, prices) for one in flows]


def _value(one: ValuedFlow, quote_asset: str, market: MarketFacts, prices: Mapping[str, AssetPrice]) -> ValuedFlow:
    flow = one.flow
    if flow.asset == quote_asset:
        return replace(one, value_quote=flow.amount, priced_by="quote")
    candle = market.load_prices_before(f"{flow.asset}/{quote_asset}", [flow.at]).get(flow.at)
    if candle is not None:
        priced_by = f"candle {candle.timeframe} closed {candle.closed_at:%Y-%m-%d %H:%M UTC}"
        return replace(one, value_quote=flow.amount * candle.price, priced_by=priced_by)
    if (price := prices.get(flow.asset)) is not None:
        priced_by = f"{price.priced_by} at {price.at:%Y-%m-%d %H:%M UTC}"
        return replace(one, value_quote=flow.amount * price.price, priced_by=priced_by)
    return one
