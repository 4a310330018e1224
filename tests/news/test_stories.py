from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lib.news.articles import Article, DatedBy
from lib.news.stories import is_same_story
from tests.news.publisher import NOON


def article(title: str, feed: str, hours: float = 0, *assets: str) -> Article:
    at = NOON - timedelta(hours=hours)
    return Article(f"{feed}/{title}", "http://x/", feed, title, "", at, DatedBy.FEED, NOON, assets, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hackers drain another bridge", "Hackers Drain Another Bridge!"),
        ("SEC’s chair resigns over ETF delay", "SEC's chair resigns over ETF delay"),
        (
            "Blockchain Capital Leads $1.7 Million Round for Crypto Compliance Startup",
            "Blockchain Capital Leads Funding Round for Crypto Compliance Startup TRM",
        ),
        ("Report: Kraken buys NinjaTrader for $1.5 billion", "Kraken buys NinjaTrader for $1.5 billion"),
    ],
)
def test_one_story_in_two_feeds_is_found(one: str, other: str) -> None:
    assert is_same_story(article(one, "a"), article(other, "b", 5))
    assert is_same_story(article(other, "b"), article(one, "a", 5))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bitcoin falls below $60,000 as traders wait for Fed", "Bitcoin falls below $50,000 as traders wait for Fed"),
        ("SEC approves the VanEck spot Bitcoin ETF proposal", "SEC rejects the VanEck spot Bitcoin ETF proposal"),
        ("SEC will delay VanEck spot ETF ruling today", "SEC will not delay VanEck spot ETF ruling today"),
        ("Market wrap", "Market wrap"),
        ("Japanese exchange bitFlyer launches in Europe", "Tokyo exchange opens office in Paris"),
        ("", ""),
    ],
)
def test_two_stories_stay_two(one: str, other: str) -> None:
    assert not is_same_story(article(one, "a"), article(other, "b"))


def test_another_asset_is_another_story() -> None:
    one = article("Developers of Cardano ship big network upgrade today", "a", 0, "ADA")
    other = article("Developers of Solana ship big network upgrade today", "b", 0, "SOL")
    assert not is_same_story(one, other)
    assert is_same_story(one, replace(other, assets=()))


def test_a_feed_does_not_repeat_itself_and_two_days_later_it_is_news_again() -> None:
    title = "Hackers drain another bridge"
    assert not is_same_story(article(title, "a"), article(title, "a", 5))
    assert is_same_story(article(title, "a"), article(title, "b", 48))
    assert not is_same_story(article(title, "a"), article(title, "b", 48.1))
