"""Whether two articles of different feeds tell one story.

Both are stored, so that each is known when it is seen again; the one that came first counts, the other names it
(`Article.same_as`). Taking two stories for one hides the second, taking one for two counts it twice: the rule leans
to the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from lib.news.articles import Article
from lib.news.sentiment import calc_sentiment

NEAR = timedelta(hours=48)
ALIKE = 0.6  # of all words of both titles; on a day's feeds of 2019, 0.64 was the lowest true pair, 0.5 no pair
FEWEST_SHARED = 5
FEWEST_EQUAL = 4  # "Market wrap" is everybody's title
WORD = re.compile(r"[$€]?\w+(?:[.,'’-]\w+)*")
POSSESSIVE = re.compile(r"['’]s$")
NEGATIONS = {"no", "not", "never", "without", "denies"}
# fmt: off
FILLERS = {
    "a", "an", "the", "of", "for", "to", "in", "on", "at", "and", "or", "by", "with", "from", "as", "is", "are", "was",
    "be", "been", "has", "have", "had", "its", "it", "this", "that", "after", "amid", "report", "says", "just", "now",
}
# fmt: on


def find_story(article: Article, earlier: Sequence[Article]) -> Article | None:
    """Return the first of the earlier articles that tells the same story in another feed."""
    return next((other for other in earlier if is_same_story(article, other)), None)


def is_same_story(one: Article, other: Article) -> bool:
    """Tell whether two articles are one story.

    They are when they are from different feeds, published within two days, and their titles are made of the same words
    (at least four); or share six in ten of their words (at least five), while neither tells other numbers, another
    asset, a negation or the opposite mood ("SEC approves", "SEC rejects").
    """
    if one.feed == other.feed or abs(one.published_at - other.published_at) > NEAR:
        return False
    words, others = to_words(one.title), to_words(other.title)
    if words == others:
        return len(words) >= FEWEST_EQUAL
    shared = len(words & others)
    if shared < FEWEST_SHARED or shared < ALIKE * len(words | others):
        return False
    return not _contradict(one, other, words, others)


def to_words(title: str) -> frozenset[str]:
    """Return the words that carry a title.

    >>> sorted(to_words("The SEC’s report: Bitcoin falls to $3,450"))
    ['$3,450', 'bitcoin', 'falls', 'sec']
    """
    words = (POSSESSIVE.sub("", word) for word in WORD.findall(title.casefold()))
    return frozenset(word for word in words if word not in FILLERS)


def _contradict(one: Article, other: Article, words: frozenset[str], others: frozenset[str]) -> bool:
    numbers, other_numbers = _numbers(words), _numbers(others)
    if not (numbers <= other_numbers or other_numbers <= numbers):
        return True
    if one.assets and other.assets and not set(one.assets) & set(other.assets):
        return True
    if (words ^ others) & NEGATIONS:
        return True
    moods = calc_sentiment(one.title, ""), calc_sentiment(other.title, "")
    return (moods[0] or 0.0) * (moods[1] or 0.0) < 0


def _numbers(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if any(sign.isdigit() for sign in word))
