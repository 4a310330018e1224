"""What the flows that place one order report: the order as proposed with every check's verdict, and as executed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from tabulate import tabulate

from lib.execution.checks import Verdict
from lib.execution.orders import Order, OrderIntent
from lib.execution.tickets import Ticket
from lib.portfolio.fills import Fill, Side
from lib.portfolio.money import format_number
from lib.results import Item, Status, TaskResult
from lib.units import format_money

ZERO = Decimal(0)


class OrderReview(TaskResult):
    """The result of `review_order`.

    Attributes:
        ticket: What is proposed; None when there is nothing to do.
        intent: The order it would become now; None of a ticket that was reviewed before.
        max_slippage_pct: How far beyond the best price it may fill, where its approval does not say.
        note: What else to know.
        execute: Whether it is to be sent.
        asks: Whether a person has to approve it before.
        answer_within: How long that person has.
    """

    ticket: Ticket | None = None
    intent: OrderIntent | None = None
    max_slippage_pct: Decimal | None = None
    note: str = ""
    execute: bool = False
    asks: bool = False
    answer_within: timedelta = timedelta(0)

    def render_tables(self) -> list[str]:
        """Markdown of the proposed order."""
        return [self._render_ticket(self.ticket)] if self.ticket else []

    def _render_ticket(self, ticket: Ticket) -> str:
        quantity, price = ticket.quantity, ticket.reference_price
        rows = [
            ("order", f"{ticket.side} {format_number(quantity)} {ticket.symbol}, account {ticket.account}"),
            ("decided at", f"{format_number(price)}, worth {format_money(quantity * price, ticket.quote)}"),
            ("sent", self._describe_bound(ticket)),
            ("stop loss", _describe_stop(ticket)),
            ("take profit", format_number(ticket.take_profit) if ticket.take_profit else ""),
            ("why", ticket.why),
            ("note", self.note),
            ("order id", ticket.client_order_id),
        ]
        filled = [row for row in rows if row[1]]
        return tabulate(filled, headers=("proposed", ""), tablefmt="pipe", disable_numparse=True)

    def _describe_bound(self, ticket: Ticket) -> str:
        """An exit's limit follows the price until it is sent; the others' stays as it was reviewed."""
        if self.intent is None or self.intent.limit_price is None:
            return ""
        if ticket.exit_id is None or self.max_slippage_pct is None:
            return f"as limit {format_number(self.intent.limit_price)}, what does not fill at once expires"
        moment = "you approve" if ticket.approval is None else "it is sent"
        return (
            f"at the price of the moment {moment}, at most {format_number(self.max_slippage_pct)} % below the best "
            "bid; what does not fill at once expires"
        )

    def render_question(self) -> str:
        """Markdown that stands above the form."""
        words = "Approved, it is checked again and sent at once. Nothing is sent without an answer."
        return "\n\n".join([*self.render_tables(), words])


class OrderResult(TaskResult):
    """The result of `place_order`.

    Attributes:
        order: As it ended.
    """

    order: Order | None = None

    def render_tables(self) -> list[str]:
        """Markdown of the fills."""
        fills = self.order.fills if self.order else ()
        rows = [
            (
                fill.symbol,
                fill.side.value,
                format_number(fill.quantity),
                format_number(fill.price),
                f"{format_number(fill.fee)} {fill.fee_asset}",
                f"{fill.filled_at:%H:%M:%S}",
            )
            for fill in fills
        ]
        headers = ("symbol", "side", "quantity", "price", "fee", "at (UTC)")
        return [tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True)] if rows else []


def to_items(verdicts: Iterable[Verdict]) -> tuple[Item, ...]:
    """Return an item for each check."""
    return tuple(
        Item(name=f"check of {one.check}", status=Status.FAILED, detail=str(one.refusal))
        if one.refusal
        else Item(name=f"check of {one.check}", status=Status.OK, detail="passes")
        for one in verdicts
    )


def _describe_stop(ticket: Ticket) -> str:
    if ticket.side is Side.SELL:
        return ""
    if ticket.stop_loss is None:
        return "none given"
    at_risk = ticket.quantity * (ticket.reference_price - ticket.stop_loss)
    return f"{format_number(ticket.stop_loss)}, {format_money(at_risk, ticket.quote)} at risk"


def describe_execution(order: Order) -> str:
    """Render what was filled, as `describe_fills` does; what did not fill at once follows."""
    text = describe_fills(order)
    if order.remainder:
        text += f"; {format_number(order.remainder)} {order.intent.base} found nobody within the bound"
    return text


def describe_fills(order: Order) -> str:
    """Render ``buy 0.5 BTC on average at 50,000, 25,000.00 USDT, fee 0.0005 BTC``."""
    done = order.executed_quantity
    price = order.executed_notional / done if done else ZERO
    return (
        f"{order.intent.side} {format_number(done)} {order.intent.base} on average at "
        f"{format_number(round(price, 8))}, {format_money(order.executed_notional, order.intent.quote)}, fee "
        f"{render_fees(sum_fees(order.fills))}"
    )


def sum_fees(fills: Iterable[Fill]) -> Mapping[str, Decimal]:
    """Return the fees by asset."""
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        fees[fill.fee_asset] += fill.fee
    return dict(fees)


def render_fees(fees: Mapping[str, Decimal]) -> str:
    """Render ``0.0005 BTC``."""
    return ", ".join(f"{format_number(fee)} {asset}" for asset, fee in sorted(fees.items())) or "none"


def describe_deadline(within: timedelta, now: datetime) -> str:
    """Render until when an answer counts."""
    return f"{now + within:%Y-%m-%d %H:%M} UTC"
