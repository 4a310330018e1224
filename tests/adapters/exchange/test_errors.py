from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.account import BinanceAccount
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue
from lib.adapters.exchange.factory import make_exchange
from lib.errors import (
    BadAnswer,
    CredentialsRefused,
    EnvironmentRefused,
    ExchangeSlow,
    ExchangeUnavailable,
    FksError,
    RateLimited,
    UnknownSymbol,
)
from tests.adapters.exchange.peer import NOW, Answer, DrivenClock, Peer, kline

SINCE = NOW - timedelta(hours=1)


def refusal(status: int, code: Any = None, message: str = "because", **headers: str) -> Answer:
    body = "" if code is None else {"code": code, "msg": message}
    return Answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


# Codes and statuses from Binance's "Error codes", "HTTP return codes"; the exchange says the same in production and on
# our simulator, so -1004 and -1008 must be transient on a URL that is not Binance's too.
PUBLIC: list[tuple[Answer, type[FksError], str]] = [
    (refusal(400, -1121, "Invalid symbol."), UnknownSymbol, r"does not know BTC/USDT.*Correct the name"),
    (refusal(500, -1000), ExchangeUnavailable, "tried again"),
    (refusal(500, -1001), ExchangeUnavailable, "tried again"),
    (refusal(503, -1004), ExchangeUnavailable, "tried again"),
    (refusal(400, -1004), ExchangeUnavailable, "tried again"),
    (refusal(400, -1008), ExchangeUnavailable, "tried again"),
    (refusal(504, -1007), ExchangeSlow, "did not answer .* in time.*HTTP 504"),
    (refusal(503, -9999), ExchangeUnavailable, "HTTP 503"),
    (refusal(500), ExchangeUnavailable, "HTTP 500"),
    (refusal(502), ExchangeUnavailable, "HTTP 502"),
    (Answer("<html>Bad gateway</html>", 502, content_type="text/html"), ExchangeUnavailable, "HTTP 502"),
    (Answer("<html>no such page</html>", 404, content_type="text/html"), ExchangeUnavailable, "HTTP 404"),
    (Answer("<html>WAF</html>", 403, content_type="text/html"), ExchangeUnavailable, "HTTP 403"),
    (Answer({"code": 0, "msg": "Service unavailable from a restricted location"}, 451), EnvironmentRefused, "location"),
    (Answer("", 451), EnvironmentRefused, "location"),
    (refusal(400, -1104, "Not all sent parameters were read"), BadAnswer, "code -1104"),
    (refusal(400, -1100), BadAnswer, "code -1100"),
    (refusal(200, -1104), BadAnswer, "code -1104"),
    (Answer(drop=True), ExchangeUnavailable, "could not be reached"),
    (Answer(b"not gzip", headers={"Content-Encoding": "gzip"}), ExchangeUnavailable, "could not be reached"),
]


@pytest.mark.parametrize(("answer", "error", "words"), PUBLIC, ids=[str(row[0].status) + row[2][:20] for row in PUBLIC])
async def test_a_failed_read_is_the_error_that_names_its_reaction(
    exchange: BinanceExchange, peer: Peer, answer: Answer, error: type[FksError], words: str
) -> None:
    peer.reply("klines", answer)
    with pytest.raises(error, match=words) as caught:
        await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert caught.type is error
    assert str(caught.value).startswith("simulator ")
    assert "klines of BTC/USDT 5m" in str(caught.value)


SIGNED = [
    (refusal(401, -2015, "Invalid API-key, IP, or permissions for action."), CredentialsRefused),
    (refusal(401, -2014), CredentialsRefused),
    (refusal(400, -1022), CredentialsRefused),
    (refusal(400, -2008), CredentialsRefused),
    (Answer("", 401), CredentialsRefused),
    (refusal(400, -1131), BadAnswer),
]


@pytest.mark.parametrize(("answer", "error"), SIGNED)
async def test_a_refused_key_needs_a_person_also_when_it_worked_before(
    account: BinanceAccount, peer: Peer, answer: Answer, error: type[FksError]
) -> None:
    peer.reply("account", {"balances": []}, answer)
    await account.fetch_balances()
    with pytest.raises(error) as caught:
        await account.fetch_balances()
    assert caught.type is error
    if error is CredentialsRefused:
        assert "Check the account's api_key and api_secret" in str(caught.value)


async def test_no_secret_is_in_a_message_or_its_causes_even_if_the_exchange_repeats_it(
    account: BinanceAccount, peer: Peer
) -> None:
    peer.reply("account", refusal(400, -1022, "key the-api-key and the-api-secret; " + "x" * 500))
    with pytest.raises(CredentialsRefused) as caught:
        await account.fetch_balances()
    told = repr(caught.value) + repr(caught.value.__cause__)
    assert "the-api" not in told
    assert "signature" not in told
    assert len(told) < 600
    assert caught.value.__cause__ is None


async def test_a_timeout_is_tried_again_later_and_its_signed_url_is_not_quoted(
    account: BinanceAccount, peer: Peer
) -> None:
    account.link.client.timeout = 100
    peer.reply("account", Answer(hang=True))
    with pytest.raises(ExchangeSlow, match=r"did not answer balances of main within 0\.1 s") as caught:
        await account.fetch_balances()
    assert "signature" not in repr(caught.value)


async def test_a_connection_that_takes_too_long_is_a_timeout_too(
    exchange: BinanceExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes connections for a busy server, so it is the machine's own name look-up that is slow here."""
    client = exchange.link.client
    client.timeout = 100
    client.open()

    async def resolve_never(*_: object, **__: object) -> list[ResolveResult]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(client.tcp_connector._resolver, "resolve", resolve_never)
    client.urls["api"]["public"] = "http://slow.invalid/api/v3"
    with pytest.raises(ExchangeSlow, match=r"did not answer klines of BTC/USDT 5m within 0\.1 s"):
        await exchange.fetch_candles("BTC/USDT", "5m", SINCE)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
async def test_an_exchange_that_is_not_there_is_unavailable(url: str, ledger: BudgetStore, clock: DrivenClock) -> None:
    exchange = make_exchange(Venue("simulator", url=url), ledger=ledger, clock=clock)
    with pytest.raises(ExchangeUnavailable, match="could not be reached"):
        await exchange.fetch_time()
    await exchange.close()


async def test_a_refused_timestamp_measures_the_clock_and_asks_once_more(account: BinanceAccount, peer: Peer) -> None:
    peer.reply("account", refusal(400, -1021), {"balances": []})
    assert await account.fetch_balances() == {}
    assert [asked.endpoint for asked in peer.asked] == ["time", "account", "time", "account"]


async def test_a_timestamp_that_stays_refused_is_unavailable_and_names_the_clock(
    account: BinanceAccount, peer: Peer
) -> None:
    peer.reply("account", refusal(400, -1021))
    with pytest.raises(ExchangeUnavailable, match=r"refused our timestamp.*clock \(NTP\)"):
        await account.fetch_balances()
    assert peer.count("account") == 2


async def test_a_clock_ten_seconds_off_signs_with_the_exchange_s_time(
    account: BinanceAccount, peer: Peer, clock: DrivenClock
) -> None:
    clock.move(seconds=-10)
    peer.ahead = timedelta(seconds=10)
    peer.reply("account", {"balances": []})
    await account.fetch_balances()
    assert peer.asked[-1].query["timestamp"] == str(int(NOW.timestamp() * 1000))


async def test_a_short_pause_is_waited_for_and_the_read_repeated(
    exchange: BinanceExchange, peer: Peer, clock: DrivenClock
) -> None:
    peer.reply("klines", refusal(429, -1003, Retry_After="3"), [kline(NOW.replace(second=0))])
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert len(page.candles) == 1
    assert clock.slept == [3.0]
    assert exchange.link.traffic.refused == 1


async def test_a_second_refusal_is_reported(exchange: BinanceExchange, peer: Peer) -> None:
    peer.reply("klines", refusal(429, -1003, Retry_After="3"))
    with pytest.raises(RateLimited):
        await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert peer.count("klines") == 2


LONG_PAUSES = [
    (refusal(429, -1003, Retry_After="45"), 45, False),
    (refusal(429, -1003), 60, False),
    (refusal(429, -1003, Retry_After="soon"), 60, False),
    (Answer("<html>slow down</html>", 429, content_type="text/html"), 60, False),
    (refusal(418, -1003, Retry_After="300"), 300, True),
    (refusal(418, -1003), 120, True),
    (refusal(400, -1003), 60, False),
]


@pytest.mark.parametrize(("answer", "seconds", "banned"), LONG_PAUSES)
async def test_a_long_pause_is_reported_at_once_and_nothing_more_is_sent(
    exchange: BinanceExchange, peer: Peer, clock: DrivenClock, answer: Answer, seconds: int, banned: bool
) -> None:
    peer.reply("klines", answer)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
        assert caught.value.retry_at == NOW + timedelta(seconds=seconds)
        assert caught.value.banned is banned
    assert peer.count("klines") == 1
    assert clock.slept == []


async def test_after_the_pause_requests_go_on(exchange: BinanceExchange, peer: Peer, clock: DrivenClock) -> None:
    peer.reply("klines", refusal(418, -1003, Retry_After="300"), [kline(NOW.replace(second=0))])
    with pytest.raises(RateLimited):
        await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    clock.move(seconds=300)
    page = await exchange.fetch_candles("BTC/USDT", "5m", SINCE)
    assert len(page.candles) == 1
