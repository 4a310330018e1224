"""The lines of what `sync_account_balance` reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from lib.balances.breaks import Break
from lib.balances.flows import ValuedFlow
from lib.balances.snapshots import Snapshot
from lib.portfolio.accounts import Account
from lib.portfolio.fills import Balance
from lib.portfolio.state import AssetPrice


class BalanceLine(BaseModel):
    """What an account is worth; amounts as in `lib.balances.snapshots.Snapshot`."""

    model_config = ConfigDict(frozen=True)

    account: str
    quote_asset: str
    at: datetime
    equity: Decimal
    cash_free: Decimal
    cash_locked: Decimal
    positions_value: Decimal
    other_value: Decimal
    unexplained_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    day_flows: Decimal
    day_pnl: Decimal | None


class AssetLine(BaseModel):
    """One asset that an account holds.

    Attributes:
        account: Whose.
        quote_asset: Of the account.
        asset: Which.
        free: Free for orders.
        locked: In orders.
        price: Quote per asset; None where there is none.
        priced_by: The markets it comes from.
        value_quote: Free and locked at that price.
        share_pct: Of the equity; None without a price or an equity.
        note: "dust", "unknown asset: no price", or empty.
    """

    model_config = ConfigDict(frozen=True)

    account: str
    quote_asset: str
    asset: str
    free: Decimal
    locked: Decimal
    price: Decimal | None
    priced_by: str
    value_quote: Decimal | None
    share_pct: Decimal | None
    note: str


class FlowLine(BaseModel):
    """A cash flow that this run has counted or found."""

    model_config = ConfigDict(frozen=True)

    account: str
    quote_asset: str
    at: datetime
    kind: str
    asset: str
    amount: Decimal
    value_quote: Decimal | None
    source: str


class BreakLine(BaseModel):
    """A break that is suspected or open; amounts as in `lib.balances.breaks.Difference`."""

    model_config = ConfigDict(frozen=True)

    account: str
    quote_asset: str
    asset: str
    state: str
    first_seen_at: datetime
    expected: Decimal
    actual: Decimal
    difference: Decimal
    value_quote: Decimal | None
    why: str


def line_of_balance(snapshot: Snapshot, quote_asset: str) -> BalanceLine:
    """Return the report's line of a snapshot."""
    values = {name: getattr(snapshot, name) for name in BalanceLine.model_fields if name != "quote_asset"}
    return BalanceLine(quote_asset=quote_asset, **values)


def lines_of_assets(
    account: Account,
    balances: Mapping[str, Balance],
    prices: Mapping[str, AssetPrice],
    equity: Decimal | None,
    dust_value: Decimal,
) -> tuple[AssetLine, ...]:
    """Return the report's lines of everything held, the most valuable first."""
    lines = []
    for asset, balance in balances.items():
        price = prices.get(asset)
        value = None if price is None else balance.total * price.price
        lines.append(
            AssetLine(
                account=account.name,
                quote_asset=account.quote_asset,
                asset=asset,
                free=balance.free,
                locked=balance.locked,
                price=price.price if price else None,
                priced_by=price.priced_by if price else "",
                value_quote=value,
                share_pct=100 * value / equity if value is not None and equity else None,
                note="unknown asset: no price" if value is None else "dust" if value < dust_value else "",
            )
        )
    return tuple(sorted(lines, key=lambda line: (-(line.value_quote or Decimal(0)), line.asset)))


def lines_of_flows(flows: Sequence[ValuedFlow], quote_asset: str) -> tuple[FlowLine, ...]:
    """Return the report's lines of cash flows."""
    return tuple(
        FlowLine(
            account=one.flow.account,
            quote_asset=quote_asset,
            at=one.flow.at,
            kind=one.flow.kind.value,
            asset=one.flow.asset,
            amount=one.flow.amount,
            value_quote=one.value_quote,
            source=one.flow.source.value,
        )
        for one in flows
    )


def lines_of_breaks(breaks: Sequence[Break], quote_asset: str) -> tuple[BreakLine, ...]:
    """Return the report's lines of breaks."""
    return tuple(
        BreakLine(
            account=one.account,
            quote_asset=quote_asset,
            asset=one.asset,
            state=one.state.value,
            first_seen_at=one.first_seen_at,
            expected=one.difference.expected,
            actual=one.difference.actual,
            difference=one.difference.amount,
            value_quote=one.difference.value_quote,
            why=one.why,
        )
        for one in breaks
    )
