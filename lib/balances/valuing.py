"""Writing down what an account is worth, and which cash flows that contains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, localcontext

from lib.balances.breaks import Difference
from lib.balances.flows import value_flows
from lib.balances.picture import Picture
from lib.balances.snapshots import Snapshot, calc_day_pnl
from lib.balances.stores import AccountRecords
from lib.portfolio.adjustments import Opening
from lib.portfolio.money import EXACT
from lib.portfolio.state import build_state
from lib.portfolio.stores import MarketFacts

ZERO = Decimal(0)


def take_snapshot(
    records: AccountRecords,
    picture: Picture,
    opening: Opening | None,
    unexplained: Iterable[Difference],
    market: MarketFacts,
) -> Snapshot:
    """Store a snapshot of the account, the cash flows that it is the first to contain, and the prices it used.

    Args:
        records: The account's, open for writing.
        picture: What was read, with prices.
        opening: Where expected holdings begin; earlier flows are in no snapshot's change.
        unexplained: What the account holds otherwise than the ledger explains.
        market: Stored candles, for the value of flows at their time.
    """
    if opening is not None:
        _count_flows(records, picture, opening, market)
    now = _measure(records, picture, unexplained)
    start = records.load_day_start(now.at)
    if start is not None:
        flows = records.load_capital(start.at, now.at)
        with localcontext(EXACT):
            now = replace(
                now, day_flows=flows, day_pnl=calc_day_pnl(start, now, flows, find_revalued(start, now, picture))
            )
    records.save_snapshot(now)
    fresh = {asset: price for asset, price in picture.prices.items() if price.at == picture.quotes.at}
    records.save_prices(fresh, picture.owner.quote_asset)
    return now


def find_revalued(start: Snapshot, now: Snapshot, picture: Picture) -> frozenset[str]:
    """Return what has a price in only one of two snapshots of a day.

    An asset that never had a price is in neither, whenever it came: an unknown token changes no profit.
    """
    lost = {name for name in now.unpriced if "/" in name or name in picture.ever_priced}
    return frozenset((set(start.unpriced) - set(now.unpriced)) | (lost - set(start.unpriced)))


def _count_flows(records: AccountRecords, picture: Picture, opening: Opening, market: MarketFacts) -> None:
    waiting = records.load_uncounted(opening.at)
    valued = value_flows(waiting, quote_asset=picture.owner.quote_asset, market=market, prices=picture.prices)
    counted = [replace(one, counted_at=picture.run_at) for one in valued if one.value_quote is not None]
    records.save_flows(counted, picture.run_at)


def _measure(records: AccountRecords, picture: Picture, differences: Iterable[Difference]) -> Snapshot:
    state = build_state(
        picture.owner,
        balances=picture.reading.balances,
        seen_at=picture.reading.read_at,
        held=picture.held,
        prices=picture.prices,
    )
    with localcontext(EXACT):
        unexplained = sum(
            (one.amount * picture.prices[one.asset].price for one in differences if one.asset in picture.prices),
            ZERO,
        )
        positions = sum(state.market_values.values(), ZERO)
        equity = state.cash_free + state.cash_locked + positions + state.other_value
    return Snapshot(
        account=picture.owner.name,
        at=picture.run_at,
        cash_free=state.cash_free,
        cash_locked=state.cash_locked,
        positions_value=positions,
        other_value=state.other_value,
        equity=equity,
        unexplained_value=unexplained,
        unrealized_pnl=state.unrealized_pnl,
        realized_pnl=records.load_realized_pnl(),
        unpriced=state.unpriced,
    )
