"""What a failed request that changes something has come to: nothing booked for certain, refused, or unknown.

Binance: a status of 4xx is the sender's fault and nothing was booked; after 5xx, -1006 and -1007 "the execution status
is unknown and could have been a success" (Spot API, "HTTP return codes"). Whatever is not documented as certain is
unknown: a proxy's answer without Binance's code, an answer that cannot be read, a connection that broke.
"""

from __future__ import annotations

import aiohttp
import ccxt

from lib.adapters.exchange.errors import is_rate_limit
from lib.adapters.exchange.replies import Reply
from lib.errors import FksError, OrderNotSent, OrderRefused, OutcomeUnknown, UnknownOrder

# Codes by which the exchange speaks of itself, not of the request, whatever status they come with: unknown,
# disconnected, unexpected answer or timeout of its backend, overloaded, shutting down.
OWN_TROUBLE = frozenset({-1000, -1001, -1004, -1006, -1007, -1008, -1016})


def to_outcome(error: Exception, reply: Reply, failure: FksError) -> FksError:
    """Return what became of a request.

    Args:
        error: What ccxt raised.
        reply: What came from the exchange, if anything.
        failure: The error as for a read, with its words.
    """
    words = str(failure)
    if reply.status == 0:
        return _to_unanswered(error, words)
    if is_rate_limit(error, reply) and reply.status < 500:
        return OrderNotSent(words)
    said_no = 400 <= reply.status < 500 and reply.code is not None and reply.code not in OWN_TROUBLE
    if not said_no:
        return OutcomeUnknown(words)
    if isinstance(error, ccxt.InvalidNonce):
        return OrderNotSent(words)
    return failure if isinstance(failure, UnknownOrder) else OrderRefused(words)


def _to_unanswered(error: Exception, words: str) -> FksError:
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError):  # no connection, so no request
        return OrderNotSent(words)
    is_local = isinstance(error, ccxt.ExchangeError) and cause is None  # ccxt itself refused, such as missing keys
    return OrderRefused(words) if is_local else OutcomeUnknown(words)
