"""Trading by hand on a paper account, which has no page of an exchange to do it on."""

from __future__ import annotations

from decimal import Decimal

from tabulate import tabulate

from lib.errors import OperatorError
from lib.paper.account import PaperAccount, Wish
from lib.paper.stores import PaperOrder
from lib.portfolio.fills import Fill
from lib.portfolio.money import format_number
from lib.ports import Clock
from lib.results import Item, Status, TaskResult
from lib.units import format_money

TASK = "trade_on_paper"
LEFT_BY_STEPS = Decimal("0.05")


class PaperTrade(TaskResult):
    """The result of `trade_on_paper`.

    Attributes:
        fills: What the order got, by level of the book.
    """

    fills: tuple[Fill, ...] = ()

    def render_tables(self) -> list[str]:
        """Markdown of the fills."""
        rows = [
            (
                fill.symbol,
                fill.side,
                format_number(fill.quantity),
                format_number(fill.price),
                f"{format_number(fill.fee)} {fill.fee_asset}",
            )
            for fill in self.fills
        ]
        return [tabulate(rows, headers=("symbol", "side", "quantity", "price", "fee"), tablefmt="pipe")]


async def trade_on_paper(account: PaperAccount, wish: Wish, clock: Clock) -> PaperTrade:
    """Fill one market order; repeated with the same client order id, it reports the same fills.

    Raises:
        OperatorError: Neither or both of quantity and notional, or what `PaperAccount.trade` refuses.
    """
    started_at = clock.now()
    if (wish.quantity is None) == (wish.notional is None):
        raise OperatorError("Expected a quantity or a notional, was both or none. Give one of them.")
    order = await account.trade(wish)
    rest = _describe_rest(order, wish)
    item = Item(
        name=f"{account.account} {wish.symbol}",
        status=Status.PARTIAL if rest else Status.OK,
        detail=_describe(order) + rest,
    )
    return PaperTrade(
        task=TASK,
        status=item.status,
        counts={"fills": len(order.fills)},
        items=(item,),
        started_at=started_at,
        finished_at=clock.now(),
        fills=order.fills,
    )


def _describe(order: PaperOrder) -> str:
    base, _, quote = order.symbol.partition("/")
    return (
        f"{order.side} {format_number(order.executed_quantity)} {base} on average at "
        f"{format_number(round(order.average_price, 8))}, {format_money(order.notional, quote)}"
    )


def _describe_rest(order: PaperOrder, wish: Wish) -> str:
    """Render what found nobody in the book; a notional is never met to the last step, so a step's worth is no rest."""
    base, _, quote = order.symbol.partition("/")
    if rest := order.quantity - order.executed_quantity:
        return f"; {format_number(rest)} {base} found nobody in the book"
    missing = (wish.notional or order.notional) - order.notional
    if missing > order.notional * LEFT_BY_STEPS:
        return f"; the book had no more: {format_money(missing, quote)} were not traded"
    return ""
