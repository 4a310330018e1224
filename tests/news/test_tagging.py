from __future__ import annotations

import pytest

from lib.news.tagging import AssetTagger

ASSETS = ("BTC", "ETH", "BNB", "ADA", "SOL", "DOT", "POL", "AVAX", "LINK", "ATOM", "KAS")


@pytest.mark.parametrize(
    ("text", "assets"),
    [
        ("Bitcoin's price and #BTC", "BTC"),
        ("the BTC/USDT pair", "BTC"),
        ("bitcoin-backed, solana and chainlink", "BTC LINK SOL"),
        ("A disgrace to Ethereum's ethos", "ETH"),
        ("Follow the link to our DOT page", ""),
        ("DOT fines airline", ""),
        ("$LINK and $DOT jump", "DOT LINK"),
        ("The LINK token rallies", "LINK"),
        ("ADA, SOL lead altcoins", "ADA SOL"),
        ("ADA lawsuit filed by a disabled customer", ""),
        ("CLICK THE LINK FOR FREE CRYPTO", ""),
        ("An avalanche of liquidations hits crypto", ""),
        ("Avalanche blockchain is upgraded", "AVAX"),
        ("Avalanche kills two skiers", ""),
        ("Cosmos seen by NASA; staking Cosmos", "ATOM"),
        ("Cosmos seen by NASA", ""),
        ("Atom smasher restarts", ""),
        ("Bitcoin Cash splits from nothing", ""),
        ("Ethereum Classic is not ETH", "ETH"),
        ("Polygon's POL token", "POL"),
        ("WBTC and BTCUSD are other words, so is solanaceae", ""),
        ("Cosmos ATOM", "ATOM"),
        ("Cosmos (ATOM) is upgraded", "ATOM"),
        ("Atom Cosmos, a shop", ""),
        ("Cosmos, Chainlink", "LINK"),
        ("Polygon and a polygon; the ADA", ""),
        ("Binance Smart Chain exploited", "BNB"),
        ("Tokens stolen on BSC", "BNB"),
        ("A BSc in token economics", ""),
        ("bitcoin-cash", ""),
        ("Bitcoin-Cash and bitcoin-backed loans", "BTC"),
        ("Loans in bitcoin\nCash is king", "BTC"),
        ("Click the LINK to claim crypto airdrop", ""),
        ("Crypto airdrop: follow this LINK", ""),
        ("The LINK price follows bitcoin", "BTC LINK"),
        ("LINK to lead altcoins", "LINK"),
        ("DOT says highway funds to use blockchain", ""),
        ("Chainlink-powered", "LINK"),
        ("Kaspa, no: KAS coin", "KAS"),
        ("kas", ""),
        ("", ""),
    ],
)
def test_a_text_is_tagged_with_what_it_speaks_of(text: str, assets: str) -> None:
    assert AssetTagger(ASSETS).tag(text) == tuple(assets.split())


def test_only_wanted_assets_are_found() -> None:
    assert AssetTagger(["eth"]).tag("Bitcoin, Ether and XRP") == ("ETH",)
    assert AssetTagger([]).tag("Bitcoin") == ()
