"""A bare signed client: it sends what a test says, and returns what came back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx

from lib.simulator.signing import sign
from tests.simulators import API_KEY, API_SECRET, RunningSimulator


class SignedClient:
    """Signed requests to one simulator, stamped with exchange time."""

    def __init__(self, simulator: RunningSimulator, key: str = API_KEY, secret: str = API_SECRET) -> None:
        self.simulator = simulator
        self.key = key
        self.secret = secret
        self.client = httpx.Client(base_url=simulator.url, timeout=30, trust_env=False)

    def send(self, method: str, path: str, **parameters: Any) -> httpx.Response:
        """Send parameters in the query string; an absolute path, or one below /api/v3."""
        query = self.to_query(parameters)
        where = path if path.startswith("/sapi") else f"/api/v3{path}"
        return self.client.request(method, f"{where}?{query}", headers={"X-MBX-APIKEY": self.key})

    def to_query(self, parameters: Mapping[str, Any]) -> str:
        """Return parameters with timestamp and signature."""
        stamped = {"timestamp": int(self.simulator.control.now().timestamp() * 1000), **parameters}
        query = urlencode(stamped)
        return f"{query}&signature={sign(self.secret, query)}"

    def get(self, path: str, **parameters: Any) -> Any:
        return self._expect_200(self.send("GET", path, **parameters))

    def post(self, path: str, **parameters: Any) -> Any:
        return self._expect_200(self.send("POST", path, **parameters))

    def delete(self, path: str, **parameters: Any) -> Any:
        return self._expect_200(self.send("DELETE", path, **parameters))

    def refusal(self, method: str, path: str, **parameters: Any) -> tuple[int, int, str]:
        """Return HTTP status, code and message of a refused request."""
        reply = self.send(method, path, **parameters)
        body = reply.json()
        assert set(body) == {"code", "msg"}
        return reply.status_code, body["code"], body["msg"]

    @staticmethod
    def _expect_200(reply: httpx.Response) -> Any:
        assert reply.status_code == 200, reply.text
        return reply.json()


@contextmanager
def signed_client(simulator: RunningSimulator, key: str = API_KEY, secret: str = API_SECRET) -> Iterator[SignedClient]:
    """Open a client, of the demo account where no other is named."""
    client = SignedClient(simulator, key, secret)
    try:
        yield client
    finally:
        client.client.close()


@contextmanager
def trader(simulator: RunningSimulator, **balances: str) -> Iterator[SignedClient]:
    """Open an account "trader" with some balances, and its client."""
    held = balances or {"USDT": "100000", "BTC": "2"}
    simulator.control.request("POST", "/accounts", api_key="trader", api_secret="trader-secret", balances=held)
    with signed_client(simulator, "trader", "trader-secret") as client:
        yield client
