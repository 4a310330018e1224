"""How much the simulator was used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lib.simulator.control import ROOT


@dataclass
class Statistics:
    """Counts since the start or the last reset; requests to the control API do not count."""

    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0
    in_flight_peak: int = 0

    def reset(self) -> None:
        """Start counting anew; requests in flight stay counted."""
        self.requests.clear()
        self.answers.clear()
        self.in_flight_peak = self.in_flight

    def to_record(self) -> dict[str, Any]:
        """Return the counts by "METHOD path" and by HTTP status."""
        return {
            "requests": self.requests.total(),
            "by_route": dict(self.requests),
            "by_status": {str(status): count for status, count in self.answers.items()},
            "in_flight_peak": self.in_flight_peak,
        }


def to_middleware(statistics: Statistics) -> Middleware:
    """Return the middleware that counts requests."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(ROOT):
            return await handler(request)
        statistics.in_flight += 1
        statistics.in_flight_peak = max(statistics.in_flight_peak, statistics.in_flight)
        try:
            answer = await handler(request)
        finally:
            statistics.in_flight -= 1
        statistics.requests[f"{request.method} {request.path}"] += 1
        statistics.answers[answer.status] += 1
        return answer

    return count
