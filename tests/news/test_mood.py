"""The mood of the news by symbol, point in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from lib.adapters.database.news import DatabaseNews
from lib.news.articles import Article, DatedBy
from tests.news.publisher import NOON

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def article(key: str, score: float | None, assets: str, published_at: datetime, fetched_at: datetime) -> Article:
    return Article(
        key, f"http://{key}", "paper", key, "", published_at, DatedBy.FEED, fetched_at, tuple(assets.split()), score
    )


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)


@pytest.fixture
def news(engine: Engine) -> DatabaseNews:
    store = DatabaseNews(engine)
    good = article("good", 0.5, "BTC ETH", hours(-3), hours(-2))
    with store.open_desk() as desk:
        desk.add_articles(
            [
                good,
                replace(good, key="repeated", feed="mirror", sentiment=-1.0, same_as="good"),
                article("bad", -0.1, "BTC", hours(-2), hours(-1)),
                article("late", -0.9, "BTC", hours(-2), hours(0)),
                article("old", -0.9, "BTC", hours(-25), hours(-1)),
                article("unscored", None, "SOL", hours(-2), hours(-1)),
                article("market", 0.9, "", hours(-2), hours(-1)),
            ]
        )
    return store


def test_the_mood_is_the_mean_of_the_stories_known_by_then(news: DatabaseNews) -> None:
    assert news.load_sentiment(SYMBOLS, NOON) == pytest.approx({"BTC/USDT": 0.2, "ETH/USDT": 0.5})


def test_what_is_fetched_later_does_not_change_the_past(news: DatabaseNews) -> None:
    before = news.load_sentiment(SYMBOLS, NOON)
    with news.open_desk() as desk:
        desk.add_articles([article("later", -1.0, "BTC ETH SOL", hours(-2), hours(0.5))])
    assert news.load_sentiment(SYMBOLS, NOON) == before
    assert news.load_sentiment(SYMBOLS, hours(1))["SOL/USDT"] == -1.0


def test_the_window_can_be_chosen_and_no_news_is_not_neutral_news(news: DatabaseNews) -> None:
    assert news.load_sentiment(SYMBOLS, NOON, timedelta(hours=2, minutes=30)) == {"BTC/USDT": -0.1}
    assert news.load_sentiment(SYMBOLS, hours(100)) == {}
    assert news.load_sentiment([], NOON) == {}


def test_two_quotes_of_one_asset_share_its_news(news: DatabaseNews) -> None:
    assert news.load_sentiment(["ETH/USDT", "ETH/BTC"], NOON) == {"ETH/USDT": 0.5, "ETH/BTC": 0.5}
