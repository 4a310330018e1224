"""A score of how good a text sounds for who holds what it speaks of.

What it is worth: VADER counts words that people rated, with rules for negation and emphasis; `lexicon.csv` adds what
those words mean in this field. It does not understand a sentence, knows no irony, no context and nobody's intentions,
and reads English only. A headline often follows the price. Nobody has shown that such a score predicts a price, so it
is a filter that is off by default, and no reason to buy.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vader import SentimentIntensityAnalyzer


def calc_sentiment(title: str, summary: str) -> float | None:
    """Return the mean of VADER's compound scores of title and summary (of one where the other is empty).

    Returns:
        A score in [-1, 1], 0 where no word is rated; None when there is no text.
    """
    texts = [text for text in (title.strip(), summary.strip()) if text]
    if not texts:
        return None
    scores = [_open_analyzer().polarity_scores(text)["compound"] for text in texts]
    return round(sum(scores) / len(scores), 4)


@cache
def _open_analyzer() -> SentimentIntensityAnalyzer:
    """Build the analyzer once a process; its import takes 60 ms that no other task has to pay."""
    from vader import SentimentIntensityAnalyzer

    text = files("lib.news").joinpath("lexicon.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    valences = {row["words"]: float(row["valence"]) for row in rows}
    phrases = {words: valence for words, valence in valences.items() if " " in words}
    words = {word: valence for word, valence in valences.items() if " " not in word}
    usual = SentimentIntensityAnalyzer()
    return SentimentIntensityAnalyzer(extra_lexicon=words, multiword={**usual.multiword, **phrases})
