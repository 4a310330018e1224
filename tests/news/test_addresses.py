from __future__ import annotations

import pytest

from lib.news.addresses import describe_feed_url, to_article_key, to_canonical_url


@pytest.mark.parametrize(
    ("link", "canonical"),
    [
        ("HTTPS://www.CoinDesk.com:443/etf/?utm_source=rss&b=2&a=1#comments", "https://www.coindesk.com/etf/?a=1&b=2"),
        ("http://paper.example", "http://paper.example/"),
        ("http://paper.example:8080/a?fbclid=1&UTM_Medium=x", "http://paper.example:8080/a"),
        ("https://user:pa55@paper.example/a", "https://paper.example/a"),
        (" http://paper.example/a b|(c)<d>\n", "http://paper.example/a%20b%7C%28c%29%3Cd%3E"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://[::1]:80/a", "http://[::1]/a"),
        ("https://paper.example/news#/story/1?b=<2>", "https://paper.example/news#/story/1?b=%3C2%3E"),
        ("https://paper.example/#!story-1", "https://paper.example/#!story-1"),
        ("https://paper.example/news#1", "https://paper.example/news"),
    ],
)
def test_an_article_has_one_address(link: str, canonical: str) -> None:
    assert to_canonical_url(link) == canonical
    assert to_canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "link",
    [
        "",
        "story",
        "/story",
        "javascript:alert(1)",
        "mailto:a@b.example",
        "http://",
        "http://[",
        "http://a:99999/",
        "http://paper.example/" + "a" * 3000,
    ],
)
def test_what_is_no_web_address_is_none(link: str) -> None:
    assert to_canonical_url(link) is None


def test_http_and_https_www_and_a_slash_make_no_other_article() -> None:
    links = ["http://www.paper.example/a/", "https://paper.example/a", "https://paper.example/a/?utm_campaign=rss"]
    assert {to_article_key(to_canonical_url(link) or "") for link in links} == {"paper.example/a"}
    assert to_article_key("https://paper.example/?p=1") != to_article_key("https://paper.example/?p=2")
    assert to_article_key("https://paper.example/#/1") != to_article_key("https://paper.example/#/2")
    assert to_article_key("https://paper.example/#/1/") == to_article_key("http://paper.example#/1")


def test_of_a_feeds_address_only_host_and_path_are_shown() -> None:
    assert describe_feed_url("https://me:pa55@News.example:8443/rss?token=abc#x") == "news.example/rss"
    assert describe_feed_url("http://[") == "an address that cannot be read"
