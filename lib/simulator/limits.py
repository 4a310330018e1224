"""Request weights and order counts: headers, 429, and 418 for a client that goes on.

Windows follow the machine's clock also where exchange time is driven: a client that waits as Retry-After asks waits
in real time. Rules: Binance Spot "LIMITS" (one budget an IP in fixed minutes; orders counted an account).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lib.simulator.answers import to_error_answer
from lib.simulator.api_errors import ApiError

Weight = int | Callable[[web.Request], int]

ORDERS_PER_10_SECONDS = 100
ORDERS_PER_DAY = 200_000
REFUSALS_BEFORE_BAN = 5  # Binance publishes no number; a client that honours Retry-After never meets it
FIRST_BAN_SECONDS = 120  # documented: bans scale from two minutes to three days
LONGEST_BAN_SECONDS = 3 * 86_400


@dataclass(frozen=True)
class Charge:
    """What one request costs.

    Attributes:
        weight: Request weight, fixed or from the request's query.
        orders: New orders it places; counted when the answer is 2xx.
    """

    weight: Weight
    orders: int = 0


CHARGES: web.AppKey[dict[tuple[str, str], Charge]] = web.AppKey("charges", dict)


def add_route(app: web.Application, method: str, path: str, handler: Handler, weight: Weight, orders: int = 0) -> None:
    """Register a route of the API with what it costs; this is how both halves register theirs."""
    app.router.add_route(method, path, handler)
    app[CHARGES][(method, path)] = Charge(weight, orders)


@dataclass
class _Client:
    """One IP's minute."""

    minute: int = -1
    used: int = 0
    refusals: int = 0
    bans: int = 0
    banned_until: float = 0.0


@dataclass
class _OrderCount:
    """One account's new orders in the running windows of ten seconds and a day."""

    window_10s: int = -1
    in_10s: int = 0
    day: int = -1
    in_day: int = 0


@dataclass
class Limits:
    """The budgets of all clients.

    Attributes:
        weight_per_minute: Budget of one IP.
        now: Seconds since the epoch; real time outside tests.
        weight_total: Weight charged since the start, for statistics.
    """

    weight_per_minute: int = 6000
    now: Callable[[], float] = time.time
    weight_total: int = 0
    _clients: dict[str, _Client] = field(default_factory=dict)
    _orders: dict[str, _OrderCount] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget all usage, bans and order counts."""
        self._clients.clear()
        self._orders.clear()

    def spend(self, remote: str, weight: int) -> dict[str, str]:
        """Charge a request and return the usage headers.

        Raises:
            ApiError: 429 over the budget, 418 while banned; both with Retry-After.
        """
        now = self.now()
        client = self._client(remote, now)
        if now < client.banned_until:
            raise _banned(client.banned_until, now)
        if client.used + weight > self.weight_per_minute:
            raise self._refuse(client, now)
        client.used += weight
        self.weight_total += weight
        return {"X-MBX-USED-WEIGHT": str(client.used), "X-MBX-USED-WEIGHT-1M": str(client.used)}

    def check_orders(self, account: str, orders: int) -> None:
        """Refuse new orders over the count of either window.

        Raises:
            ApiError: 429 with -1015 and Retry-After.
        """
        now = self.now()
        count = self._count(account, now)
        if count.in_10s + orders > ORDERS_PER_10_SECONDS:
            raise _too_many_orders(f"{ORDERS_PER_10_SECONDS} orders per 10 SECOND", 10 - int(now) % 10)
        if count.in_day + orders > ORDERS_PER_DAY:
            raise _too_many_orders(f"{ORDERS_PER_DAY} orders per 1 DAY", 86_400 - int(now) % 86_400)

    def count_orders(self, account: str, orders: int) -> dict[str, str]:
        """Count new orders and return the order count headers."""
        count = self._count(account, self.now())
        count.in_10s += orders
        count.in_day += orders
        return {"X-MBX-ORDER-COUNT-10S": str(count.in_10s), "X-MBX-ORDER-COUNT-1D": str(count.in_day)}

    def _client(self, remote: str, now: float) -> _Client:
        client = self._clients.setdefault(remote, _Client())
        minute = int(now // 60)
        if client.minute != minute:
            client.minute, client.used, client.refusals = minute, 0, 0
        return client

    def _count(self, account: str, now: float) -> _OrderCount:
        count = self._orders.setdefault(account, _OrderCount())
        if count.window_10s != int(now // 10):
            count.window_10s, count.in_10s = int(now // 10), 0
        if count.day != int(now // 86_400):
            count.day, count.in_day = int(now // 86_400), 0
        return count

    def _refuse(self, client: _Client, now: float) -> ApiError:
        client.refusals += 1
        if client.refusals > REFUSALS_BEFORE_BAN:
            seconds = min(FIRST_BAN_SECONDS * 2**client.bans, LONGEST_BAN_SECONDS)
            client.bans += 1
            client.banned_until = now + seconds
            return _banned(client.banned_until, now)
        message = (
            f"Too much request weight used; current limit is {self.weight_per_minute} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        headers = {"Retry-After": str(60 - int(now) % 60), "X-MBX-USED-WEIGHT-1M": str(client.used)}
        return ApiError(429, -1003, message, headers)


def _banned(until: float, now: float) -> ApiError:
    message = (
        f"Way too much request weight used; IP banned until {int(until * 1000)}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return ApiError(418, -1003, message, {"Retry-After": str(max(1, int(until - now) + 1))})


def _too_many_orders(limit: str, retry_after: int) -> ApiError:
    return ApiError(429, -1015, f"Too many new orders; current limit is {limit}.", {"Retry-After": str(retry_after)})


def to_middleware(limits: Limits) -> Middleware:
    """Return the middleware that charges every registered route and sets the usage headers."""

    @web.middleware
    async def charge_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
        charge = request.app[CHARGES].get((request.method, request.path))
        if charge is None:
            return await handler(request)
        account = request.headers.get("X-MBX-APIKEY", "")
        weight = charge.weight if isinstance(charge.weight, int) else charge.weight(request)
        try:
            headers = limits.spend(request.remote or "", weight)
            if charge.orders:
                limits.check_orders(account, charge.orders)
        except ApiError as error:
            return to_error_answer(error)
        answer = await handler(request)
        if charge.orders and answer.status < 300:
            headers |= limits.count_orders(account, charge.orders)
        answer.headers.update(headers)
        return answer

    return charge_requests
