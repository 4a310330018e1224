"""A stop loss is triggered: one alert, a sale by hand on the exchange, a closed position, and no repetition."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from deployments.by_hand import Trade
from deployments.demo.normal_market import expect_same_holdings
from deployments.demo.stage import Books, Stage
from deployments.demo.tables import number, render_alert, render_sale
from lib.errors import EnvironmentRefused
from lib.notifications.messages import MessageType, Severity
from lib.portfolio.ledger import Position
from lib.units import format_money

SYMBOL = "SOL/USDT"
FALLS_TO = Decimal("0.97")  # of the stop loss: so far that the price does not wander back within minutes


@dataclass(frozen=True)
class Watched:
    """The open position that the play is about; price and stop loss are quote per base."""

    position: Position
    price: Decimal
    stop: Decimal


def play_stop_loss(stage: Stage) -> None:
    """Let a price fall below its stop loss; sell by hand once the alert is there; run the chain after each."""
    before = _find_watched(stage.read_books())
    _let_fall(stage, before)
    stage.run_chain()
    told = stage.read_books()
    _expect_one_alert(stage, told)

    stage.note("The price stays there, and the chain runs again.")
    stage.run_chain()
    _expect_no_second_alert(stage, stage.read_books())

    sale = stage.by_hand.sell_all(SYMBOL)
    stage.note(f"Somebody sells by hand on the exchange: {number(sale.quantity)} {SYMBOL}, order {sale.order_id}.")
    stage.run_chain()
    closed = stage.read_books()
    stage.show(render_sale(sale, told, closed, SYMBOL))
    _expect_closed(stage, closed)
    _expect_loss(stage, before.position, sale, closed)
    _expect_cash(stage, sale, told, closed)
    expect_same_holdings(stage, closed)

    stage.note("Once more, with nothing new.")
    stage.run_chain()
    _expect_nothing_repeated(stage, closed, stage.read_books())


def _find_watched(books: Books) -> Watched:
    held = books.held.get(SYMBOL)
    if held is None or held.stop_loss is None or held.valuation is None:
        raise EnvironmentRefused(f"Expected a priced position in {SYMBOL} with a stop loss. The play cannot go on.")
    return Watched(held.position, held.valuation.price, held.stop_loss)


def _let_fall(stage: Stage, watched: Watched) -> None:
    price = stage.set_price(SYMBOL, watched.stop * FALLS_TO)
    stage.note(
        f"The market falls: {SYMBOL} from {number(watched.price)} to {number(price)}, "
        f"below its stop loss of {number(watched.stop)}."
    )


def _expect_one_alert(stage: Stage, books: Books) -> None:
    stage.show(*(render_alert(message) for message in books.messages))
    now = _find_watched(books)
    stage.expect(
        "The price is below the stop loss", f"{number(now.price)}, stop {number(now.stop)}", holds=now.price < now.stop
    )
    urgent = [
        one
        for one in books.find_messages(MessageType.STOP_LOSS)
        if one.severity is Severity.URGENT and SYMBOL in one.title
    ]
    stage.expect(
        "One urgent alert is recorded",
        f"{len(urgent)} urgent alert about {SYMBOL}, {len(books.alarms)} in the outbox",
        holds=len(urgent) == len(books.alarms) == 1,
    )


def _expect_no_second_alert(stage: Stage, books: Books) -> None:
    now = _find_watched(books)
    stage.expect(
        "No second alert while it lasts",
        f"{number(now.price)}, stop {number(now.stop)}, {len(books.alarms)} in the outbox",
        holds=now.price < now.stop and len(books.alarms) == 1,
    )


def _expect_closed(stage: Stage, after: Books) -> None:
    closed_at = after.newest[SYMBOL].closed_at
    stage.expect(
        "The position is closed, without another alert",
        (f"at {closed_at:%H:%M:%S} UTC" if closed_at else "still open") + f", {len(after.alarms)} in the outbox",
        holds=SYMBOL not in after.held and closed_at is not None and len(after.alarms) == 1,
    )


def _expect_loss(stage: Stage, held: Position, sale: Trade, after: Books) -> None:
    quote = stage.stack.settings.quote_asset
    realized = after.newest[SYMBOL].realized_pnl_quote - held.realized_pnl_quote
    proceeds, paid = sale.net_of(quote), held.cost_quote * sale.quantity / held.quantity
    stage.expect(
        "The loss is realized",
        f"{format_money(realized, quote)} = {proceeds:,.2f} received - {paid:,.2f} paid",
        holds=round(realized, 8) == round(proceeds - paid, 8) and realized < 0,
    )


def _expect_cash(stage: Stage, sale: Trade, before: Books, after: Books) -> None:
    quote = stage.stack.settings.quote_asset
    stage.expect(
        "The cash has grown by what was received",
        f"{format_money(after.cash, quote)} = {before.cash:,.2f} + {sale.net_of(quote):,.2f}",
        holds=after.cash == before.cash + sale.net_of(quote),
    )


def _expect_nothing_repeated(stage: Stage, before: Books, after: Books) -> None:
    kept = [(books.newest, books.fills, books.cash, books.alarms) for books in (before, after)]
    stage.expect(
        "Nothing is repeated",
        f"{after.fills} fills, {len(after.held)} positions, {len(after.alarms)} alerts in the outbox, as before",
        holds=kept[0] == kept[1],
    )
