"""What an operator does on the exchange by hand: a plain ccxt client with the account's keys, and no code of ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import ccxt


@dataclass(frozen=True)
class Trade:
    """A market order that the exchange has filled.

    Attributes:
        order_id: The exchange's.
        quantity: Base bought or sold, before fees.
        gross_quote: What was paid for it, before fees.
        fees: By the asset they were taken in.
    """

    order_id: str
    quantity: Decimal
    gross_quote: Decimal
    fees: Mapping[str, Decimal]

    def net_of(self, quote_asset: str) -> Decimal:
        """Return what came in of a sale: less the fees that were taken in quote."""
        return self.gross_quote - self.fees.get(quote_asset, Decimal(0))

    @property
    def average_price(self) -> Decimal:
        """Quote per base."""
        return self.gross_quote / self.quantity


class ByHand:
    """An account at a Binance-like server, as its owner reaches it. Raises ccxt's own errors.

    Args:
        url: The server's root, as "http://127.0.0.1:4280".
        api_key: Of the account.
        api_secret: Of the account.
    """

    def __init__(self, url: str, api_key: str, api_secret: str) -> None:
        self._client: Any = ccxt.binance(
            {
                "apiKey": api_key,
                "secret": api_secret,
                "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
                "urls": {"api": {"public": f"{url}/api/v3", "private": f"{url}/api/v3", "sapi": f"{url}/sapi/v1"}},
            }
        )

    def fetch_totals(self) -> dict[str, Decimal]:
        """Return what the account holds of each asset, free and locked together."""
        balances = self._client.fetch_balance()["info"]["balances"]
        return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in balances}

    def buy(self, symbol: str, quantity: Decimal) -> Trade:
        """Buy so much of a symbol's base at the market, as far as the exchange's quantity step allows."""
        return self._trade(symbol, "buy", quantity)

    def sell_all(self, symbol: str) -> Trade:
        """Sell what is free of a symbol's base at the market, as far as the exchange's quantity step allows."""
        return self._trade(symbol, "sell", self._client.fetch_balance()["free"][symbol.split("/")[0]])

    def _trade(self, symbol: str, side: str, quantity: Any) -> Trade:
        self._client.load_markets()
        amount = self._client.amount_to_precision(symbol, quantity)
        named = {"newClientOrderId": f"web_{uuid4().hex}"}  # as the exchange's own page names its orders
        order = self._client.create_order(symbol, "market", side, amount, None, named)["info"]
        fees: dict[str, Decimal] = defaultdict(Decimal)
        for fill in order["fills"]:
            fees[fill["commissionAsset"]] += Decimal(fill["commission"])
        return Trade(
            order_id=str(order["orderId"]),
            quantity=Decimal(order["executedQty"]),
            gross_quote=sum((Decimal(fill["price"]) * Decimal(fill["qty"]) for fill in order["fills"]), Decimal(0)),
            fees=dict(fees),
        )
