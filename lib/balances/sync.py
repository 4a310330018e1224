"""Bringing an account's balance up to date: what it is worth, what came in and out, whether the ledger agrees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from lib.balances.adjusting import adjust_ledger, begin_ledger
from lib.balances.breaks import BreakState
from lib.balances.comparison import Comparison, compare_holdings, find_expected
from lib.balances.flows import merge_flows
from lib.balances.lines import line_of_balance, lines_of_assets, lines_of_breaks, lines_of_flows
from lib.balances.outcome import Outcome, list_items
from lib.balances.picture import BalanceOptions, Picture
from lib.balances.pricing import price_assets
from lib.balances.reading import Reading, TimedPrices, read_account
from lib.balances.report import BalanceResult
from lib.balances.stores import AccountRecords, BalanceStore
from lib.balances.valuing import take_snapshot
from lib.portfolio.accounts import Account
from lib.portfolio.adjustments import Opening
from lib.portfolio.bookkeeping import Booked, book_import
from lib.portfolio.import_plan import FEE_ASSETS
from lib.portfolio.imports import Fetched
from lib.portfolio.pricing import price_positions
from lib.portfolio.quotes import Quotes, fetch_quotes
from lib.portfolio.stores import HeldPosition, MarketFacts, PortfolioStore
from lib.ports import Clock, ExchangeAccount
from lib.results import calc_status

TASK = "sync_account_balance"


async def sync_account_balance(
    *,
    account: str,
    exchange: TimedPrices,
    exchange_account: ExchangeAccount,
    portfolio: PortfolioStore,
    balances: BalanceStore,
    market: MarketFacts,
    clock: Clock,
    universe: Sequence[str],
    options: BalanceOptions | None = None,
) -> BalanceResult:
    """Import what happened to an account, value all it holds, and compare that with the ledger.

    * Balances, new fills, deposits and withdrawals are read so that they belong together (`reading.read_account`).
    * Every asset is valued by one request for all prices; the snapshot goes to `balance_history`, one a minute.
      Without any prices nothing is valued, and the item fails; what has no price is named, never zero in silence.
    * Expected holdings are those of the first comparison, changed by all fills and cash flows since. A difference that
      outlasts the settling time is a break: stored, told once, and told again when it is gone. Meanwhile its value
      counts neither as profit nor as loss, and so does every difference while the cash flows cannot be read.
    * Cash flows of coins go into the ledger, so that positions are what is there (`lib.portfolio.adjustments`); the
      values of this snapshot are still those of before, the equity is the same.

    Args:
        account: Name of a registered account.
        exchange: For prices and the time.
        exchange_account: The account's private side.
        portfolio: Where accounts, fills and positions are.
        balances: Where snapshots, cash flows and breaks are.
        market: Stored symbols and candles.
        clock: Ours.
        universe: The symbols kept fresh.
        options: The operator's; the defaults when not given.

    Raises:
        FksError: When the balances could not be read; nothing was stored.
        OperatorError: When the account is not registered.
        DatabaseUnavailable: Trying again is safe: what comes twice is stored once.
    """
    options, started_at = options or BalanceOptions(), clock.now()
    owner = portfolio.load_account(account)
    opening = balances.load_opening(account)
    quotes = await fetch_quotes(exchange, clock)

    def book(fetched: Fetched) -> Booked:
        with portfolio.open_books(account) as books:
            return book_import(books, fetched, market, quotes, clock.now())

    reading = await read_account(
        owner,
        exchange_account,
        exchange=exchange,
        flows_asked_at=balances.load_flows_asked_at(account),
        wants_time=opening is None,
        store=portfolio,
        market=market,
        clock=clock,
        universe=universe,
        book=book,
    )
    if opening is None and (begun := reading.to_opening()) is not None:
        begin_ledger(owner, begun, portfolio, clock)
    held = _price_positions(account, quotes, portfolio=portfolio, market=market, clock=clock)
    picture = _draw(owner, reading, quotes, held=held, balances=balances, options=options, clock=clock)
    with balances.open_records(account) as records:
        outcome = _keep(records, picture, opening, market=market, options=options)
    adjusted = adjust_ledger(owner, balances=balances, portfolio=portfolio, market=market, clock=clock)
    if adjusted:
        held = _price_positions(account, quotes, portfolio=portfolio, market=market, clock=clock)
        picture = replace(picture, held=held)
    items = [*list_items(picture, outcome), *adjusted]
    return BalanceResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={**_count(picture, outcome), "ledger entries": len(adjusted)},
        items=tuple(items),
        started_at=started_at,
        finished_at=clock.now(),
        **_show(picture, outcome, balances, options),
    )


def _price_positions(
    account: str, quotes: Quotes, *, portfolio: PortfolioStore, market: MarketFacts, clock: Clock
) -> Sequence[HeldPosition]:
    """Price the positions as `update_positions` does, so that both see the same values."""
    with portfolio.open_books(account) as books:
        held = books.load_held()
        listings = market.load_listings({one.symbol for one in held})
        valuations, _ = price_positions(held, quotes, listings, clock.now())
        books.save_valuations(valuations)
        return books.load_held()


def _draw(
    owner: Account,
    reading: Reading,
    quotes: Quotes,
    *,
    held: Sequence[HeldPosition],
    balances: BalanceStore,
    options: BalanceOptions,
    clock: Clock,
) -> Picture:
    """Price everything that is held, or was once, and find what cannot be compared."""
    assets = {*reading.balances, *reading.asked.balances, owner.quote_asset}
    known = balances.load_prices(assets, owner.quote_asset)
    unknown = {asset for symbol in reading.booked.errors for asset in (*symbol.split("/"), *FEE_ASSETS)}
    return Picture(
        owner=owner,
        run_at=clock.now().replace(second=0, microsecond=0),
        reading=reading,
        quotes=quotes,
        held=held,
        prices=price_assets(sorted(assets), owner.quote_asset, quotes, known, options.bridges),
        ever_priced=frozenset(known),
        uncertain=reading.moving | unknown,
    )


def _keep(
    records: AccountRecords,
    picture: Picture,
    opening: Opening | None,
    *,
    market: MarketFacts,
    options: BalanceOptions,
) -> Outcome:
    """Write everything of this run down, in one transaction."""
    reading = picture.reading
    changed = merge_flows(records.load_flows([flow.flow_id for flow in reading.flows]), reading.flows, picture.run_at)
    records.save_flows(changed, picture.run_at)
    if reading.flows_error is None:
        records.save_flows_asked(reading.read_at)
    found = Comparison()
    if opening is not None:
        expected = find_expected(records, opening)
        picture = _price_missing(picture, expected, options)
        found = compare_holdings(records, picture, expected, _load_steps(expected, picture, market), options)
    elif (begun := reading.to_opening()) is not None:
        records.save_opening(begun, picture.owner.quote_asset)
    snapshot = None
    if picture.quotes.error is None:
        snapshot = take_snapshot(records, picture, opening, found.unexplained, market)
    return Outcome(len(changed), opening is not None, found.breaks, snapshot)


def _price_missing(picture: Picture, expected: Collection[str], options: BalanceOptions) -> Picture:
    """Price what is expected and was never seen on the exchange: bought and gone between two runs."""
    missing = sorted(set(expected) - set(picture.prices))
    prices = price_assets(missing, picture.owner.quote_asset, picture.quotes, {}, options.bridges)
    return replace(picture, prices={**picture.prices, **prices})


def _load_steps(expected: Collection[str], picture: Picture, market: MarketFacts) -> dict[str, Decimal]:
    assets, quote_asset = {*expected, *picture.reading.balances}, picture.owner.quote_asset
    listings = market.load_listings({f"{asset}/{quote_asset}" for asset in assets})
    return {symbol.partition("/")[0]: one.quantity_step for symbol, one in listings.items() if one.quantity_step}


def _count(picture: Picture, outcome: Outcome) -> dict[str, int]:
    is_open = [one.state is BreakState.OPEN for one in outcome.breaks]
    return {
        "assets": len(picture.reading.balances),
        "new fills": len(picture.reading.booked.fills),
        "cash flows": outcome.new_flows,
        "breaks": sum(is_open),
        "suspected": len(is_open) - sum(is_open),
    }


def _show(picture: Picture, outcome: Outcome, balances: BalanceStore, options: BalanceOptions) -> dict[str, Any]:
    """Return the lines of the report."""
    owner, snapshot = picture.owner, outcome.snapshot
    midnight = picture.run_at.replace(hour=0, minute=0)
    flows = balances.load_cash_flows(owner.name, midnight, picture.run_at + timedelta(minutes=1))
    equity = snapshot.equity if snapshot else None
    return {
        "balances": (line_of_balance(snapshot, owner.quote_asset),) if snapshot else (),
        "assets": lines_of_assets(owner, picture.reading.balances, picture.prices, equity, options.dust_quote),
        "flows": lines_of_flows(flows, owner.quote_asset),
        "breaks": lines_of_breaks(outcome.breaks, owner.quote_asset),
    }
