from __future__ import annotations

import logging
from typing import Any

import pytest

from lib.adapters.database.budget import BudgetStore
from lib.adapters.exchange.binance import BinanceExchange
from lib.adapters.exchange.client import Venue, host_of, make_client
from lib.adapters.exchange.factory import make_account, make_exchange
from lib.adapters.exchange.generic import GenericExchange
from lib.errors import SettingsError
from tests.adapters.exchange.peer import DrivenClock, Peer

HOSTS = [
    (Venue("simulator", url="http://127.0.0.1:4280/"), "127.0.0.1:4280", "http://127.0.0.1:4280/api/v3"),
    (Venue("binance"), "api.binance.com", "https://api.binance.com/api/v3"),
    (Venue("binance", sandbox=True), "testnet.binance.vision", "https://testnet.binance.vision/api/v3"),
    (Venue("binance", url="http://proxy:8080", sandbox=True), "proxy:8080", "http://proxy:8080/api/v3"),
    (Venue("binanceus"), "api.binance.us", "https://api.binance.us/api/v3"),
]


@pytest.mark.parametrize(("venue", "host", "url"), HOSTS)
def test_a_binance_like_venue_asks_its_own_host(venue: Venue, host: str, url: str) -> None:
    client = make_client(venue, "key", "secret")
    assert host_of(client) == host
    assert client.urls["api"]["private"] == url
    assert client.sign("account", ["private"])["url"].startswith(f"{url}/account?timestamp=")


WRONG: list[tuple[Venue, str]] = [
    (Venue("binanc"), "Did you mean .*binance"),
    (Venue("Kraken"), "Did you mean kraken"),
    (Venue("simulater"), "Did you mean simulator"),
    (Venue("zzzzzz"), "Expected simulator, or an exchange id of ccxt"),
    (Venue("simulator"), "FKS_EXCHANGE_URL"),
    (Venue("simulator", url="127.0.0.1:4280"), "http"),
    (Venue("simulator", url="ftp://host"), "http"),
    (Venue("kraken", url="http://127.0.0.1"), "exchange_url is for Binance-like"),
    (Venue("kraken", sandbox=True), "has no test network.*FKS_EXCHANGE_SANDBOX"),
    (Venue("binanceusdm"), "not a spot exchange"),
]


@pytest.mark.parametrize(("venue", "words"), WRONG)
def test_a_wrong_venue_names_the_setting_and_the_remedy(venue: Venue, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        make_client(venue)


def test_an_error_about_a_url_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError) as caught:
        make_client(Venue("binance", url="http://user:hunter2@proxy:80"))
    assert "hunter2" not in str(caught.value)


async def test_errors_on_any_url_are_read_by_the_production_table() -> None:
    client = make_client(Venue("simulator", url="http://127.0.0.1:1"))
    exact: dict[str, Any] = client.get_exceptions_by_url("http://127.0.0.1:1/api/v3/order", "exact")
    assert {"-1004", "-1008", "-1131", "-2008", "-2021", "-2026"} <= set(exact)


async def test_one_request_loads_the_markets_of_a_plain_ccxt_call_too(peer: Peer) -> None:
    client = make_client(Venue("simulator", url=peer.url), "key", "secret")
    peer.reply("exchangeInfo", {"symbols": []})
    await client.load_markets()
    await client.close()
    assert [asked.endpoint for asked in peer.asked] == ["exchangeInfo"]


async def test_nothing_of_a_request_is_logged_even_at_debug(
    peer: Peer, venue: Venue, ledger: BudgetStore, clock: DrivenClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = make_account(venue, "main", "the-api-key", "the-api-secret", ledger=ledger, clock=clock)
    peer.reply("account", {"balances": []})
    await account.fetch_balances()
    await account.close()
    ours = [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]  # that is the peer's
    assert not [line for line in ours if "the-api" in line or "signature" in line]


def test_another_exchange_of_ccxt_is_built_by_name(ledger: BudgetStore, clock: DrivenClock) -> None:
    exchange = make_exchange(Venue("kraken"), ledger=ledger, clock=clock)
    assert isinstance(exchange, GenericExchange)
    assert exchange.name == "kraken"
    assert isinstance(make_exchange(Venue("binance"), ledger=ledger, clock=clock), BinanceExchange)


async def test_what_another_exchange_does_not_offer_is_a_clear_error(ledger: BudgetStore, clock: DrivenClock) -> None:
    with pytest.raises(SettingsError, match="FKS_ACCOUNTS__MAIN__KIND=paper"):
        make_account(Venue("kraken"), "main", "key", "secret", ledger=ledger, clock=clock)
    with pytest.raises(SettingsError, match=r"has no .*Choose another FKS_EXCHANGE"):
        make_exchange(Venue("bitso"), ledger=ledger, clock=clock)
    with pytest.raises(SettingsError, match="steps"):
        make_exchange(Venue("bitfinex"), ledger=ledger, clock=clock)
    exchange = make_exchange(Venue("kraken"), ledger=ledger, clock=clock)
    with pytest.raises(SettingsError, match=r"no 3m candles.*FKS_HISTORY_DAYS"):
        await exchange.fetch_candles("BTC/USDT", "3m", clock.now())
