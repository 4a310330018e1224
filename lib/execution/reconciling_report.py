"""What `reconcile_orders` reports."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from tabulate import tabulate

from lib.execution.findings import Finding
from lib.execution.orders import Order
from lib.portfolio.money import format_number
from lib.results import TaskResult


class OpenOrderLine(BaseModel):
    """An order of ours that has not ended; quantities are base."""

    model_config = ConfigDict(frozen=True)

    account: str
    symbol: str
    side: str
    quantity: Decimal
    executed: Decimal
    state: str
    created_at: datetime
    why: str
    client_order_id: str


class FindingLine(BaseModel):
    """A finding; see `lib.execution.findings.Finding`."""

    model_config = ConfigDict(frozen=True)

    account: str
    kind: str
    symbol: str
    side: str
    quantity: Decimal
    executed: Decimal
    price: Decimal | None
    order_id: str
    client_order_id: str
    detail: str


class ReconciliationResult(TaskResult):
    """The result of `reconcile_orders`.

    Attributes:
        orders: Ours that have not ended.
        findings: What differs, told or not.
    """

    orders: tuple[OpenOrderLine, ...] = ()
    findings: tuple[FindingLine, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of our open orders and of the findings."""
        orders = [
            (
                line.account,
                f"{line.side} {format_number(line.quantity)} {line.symbol}",
                line.state,
                format_number(line.executed),
                f"{line.created_at:%Y-%m-%d %H:%M:%S}",
                line.why,
                line.client_order_id,
            )
            for line in self.orders
        ]
        findings = [
            (
                line.account,
                line.kind.replace("_", " "),
                f"{line.side} {format_number(line.quantity)} {line.symbol}",
                format_number(line.executed),
                "" if line.price is None else format_number(round(line.price, 8)),
                line.order_id,
                line.client_order_id,
                line.detail,
            )
            for line in self.findings
        ]
        tables = (
            (("account", "open order", "state", "filled", "since (UTC)", "why", "name"), orders),
            (("account", "finding", "order", "filled", "price", "exchange's number", "name", "detail"), findings),
        )
        return [
            tabulate(rows, headers=headers, tablefmt="pipe", disable_numparse=True) for headers, rows in tables if rows
        ]


def line_of_order(order: Order) -> OpenOrderLine:
    """Return the report's line of an order of ours."""
    intent = order.intent
    return OpenOrderLine(
        account=intent.account,
        symbol=intent.symbol,
        side=intent.side.value,
        quantity=intent.quantity,
        executed=order.executed_quantity,
        state=order.state.value,
        created_at=intent.created_at,
        why=intent.why,
        client_order_id=intent.client_order_id,
    )


def line_of_finding(one: Finding) -> FindingLine:
    """Return the report's line of a finding."""
    return FindingLine(
        kind=one.kind.value,
        side=one.side.value,
        **{
            name: getattr(one, name)
            for name in (
                "account",
                "symbol",
                "quantity",
                "executed",
                "price",
                "order_id",
                "client_order_id",
                "detail",
            )
        },
    )
