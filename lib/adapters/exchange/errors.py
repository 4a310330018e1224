"""Which of our errors a failed request is, by the reaction it asks for.

Decided by HTTP status, the exchange's error code and ccxt's exception class (measured with ccxt 4.5.90 and Binance
spot), never by prose. What ccxt says in text is dropped: it holds signed URLs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import ccxt

from lib.adapters.exchange.replies import Reply
from lib.errors import (
    BadAnswer,
    CredentialsRefused,
    EnvironmentRefused,
    ExchangeSlow,
    ExchangeUnavailable,
    FksError,
    OrderRefused,
    SettingsError,
    SymbolHalted,
    UnknownOrder,
    UnknownSymbol,
)

# What ccxt's own parsing raises on an answer of another shape, e.g. {"code": "x"}; besides its own errors.
PARSING_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
REJECTED_KEY = -2015  # ccxt takes it for a rate limit once the key has worked; the key may as well have been deleted

# The first class that fits decides. Sub-classes stand before their bases.
REACTIONS: Sequence[tuple[type[Exception], type[FksError], str]] = (
    (
        ccxt.InvalidNonce,
        ExchangeUnavailable,
        "refused our timestamp for {what}, also after measuring its clock again. "
        "Synchronise this machine's clock (NTP); it is tried again.",
    ),
    (
        ccxt.RestrictedLocation,
        EnvironmentRefused,
        "does not serve this location, asked for {what}. Run FKS where it may be used, or choose another exchange.",
    ),
    (
        ccxt.AuthenticationError,
        CredentialsRefused,
        "refused the key or its permission for {what}. Check the account's api_key and api_secret, that the key is "
        "enabled for spot trading, and that its list of addresses allows this machine.",
    ),
    (ccxt.BadSymbol, UnknownSymbol, "does not know {symbol}, asked for {what}. Correct the name or remove it."),
    (ccxt.MarketClosed, SymbolHalted, "does not trade {symbol} at the moment, asked for {what}."),
    (ccxt.InsufficientFunds, OrderRefused, "refused {what}: not enough funds."),
    (ccxt.OrderNotFound, UnknownOrder, "does not have what was asked for: {what}."),
    (ccxt.InvalidOrder, OrderRefused, "refused {what}."),
    (
        ccxt.NotSupported,
        SettingsError,
        "does not offer {what} through ccxt. Choose another FKS_EXCHANGE.",
    ),
    (ccxt.BadResponse, BadAnswer, "answered {what} with something ccxt cannot read; expected its documented JSON."),
    (ccxt.RequestTimeout, ExchangeSlow, "did not answer {what} {in_time}; it is tried again."),
    (ccxt.OnMaintenance, ExchangeUnavailable, "is under maintenance, asked for {what}; it is tried again."),
    (ccxt.OperationFailed, ExchangeUnavailable, "could not be reached for {what}; it is tried again."),
    (
        ccxt.ExchangeError,
        BadAnswer,
        "refused the request for {what}. Its API and this version of FKS do not agree; report it.",
    ),
)


@dataclass(frozen=True)
class Subject:
    """What was asked, in words for a message.

    Attributes:
        exchange: "binance".
        what: "klines of BTC/USDT 1h".
        symbol: The symbol asked for, if one was.
        timeout_seconds: How long an answer was waited for.
    """

    exchange: str
    what: str
    symbol: str | None
    timeout_seconds: float


def is_rate_limit(error: Exception, reply: Reply) -> bool:
    """Tell whether the exchange asks everyone at this address to pause."""
    if reply.status in (418, 429):
        return True
    return isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded)) and reply.code != REJECTED_KEY


def translate(error: Exception, reply: Reply, subject: Subject) -> FksError:
    """Return our error for a failed request that was not refused by a rate limit."""
    kind, words = _find_reaction(error, reply)
    in_time = "in time" if reply.status else f"within {subject.timeout_seconds:g} s"  # with a status, its own backend
    text = words.format(what=subject.what, symbol=subject.symbol or "a symbol", in_time=in_time)
    return kind(f"{subject.exchange} {text}{_quote(reply)}")


def _find_reaction(error: Exception, reply: Reply) -> tuple[type[FksError], str]:
    if reply.code == REJECTED_KEY:
        return _reaction_of(ccxt.AuthenticationError)
    if reply.status == 451:
        return _reaction_of(ccxt.RestrictedLocation)
    if reply.status >= 500 and not isinstance(error, (ccxt.RequestTimeout, ccxt.OnMaintenance)):
        return ExchangeUnavailable, "could not serve {what}; it is tried again."
    # ccxt calls a broken transfer a permanent ExchangeError; a timeout while connecting is one of aiohttp's errors too.
    if isinstance(error.__cause__, aiohttp.ClientError) and not isinstance(error, ccxt.RequestTimeout):
        return _reaction_of(ccxt.OperationFailed)
    for cls, kind, words in REACTIONS:
        if isinstance(error, cls):
            return kind, words
    return _reaction_of(ccxt.BadResponse)


def _reaction_of(cls: type[Exception]) -> tuple[type[FksError], str]:
    return next((kind, words) for listed, kind, words in REACTIONS if listed is cls)


def _quote(reply: Reply) -> str:
    parts = [
        f"HTTP {reply.status}" if reply.status else "",
        f"code {reply.code}" if reply.code is not None else "",
        f'"{reply.message}"' if reply.message else "",
    ]
    quoted = ", ".join(filter(None, parts))
    return f" ({quoted})" if quoted else ""
