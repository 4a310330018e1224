from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from lib.news.sentiment import calc_sentiment


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("Bitcoin surges to all-time high", "Bitcoin plunges to all-time low"),
        ("SEC approves the Bitcoin ETF", "SEC rejects the Bitcoin ETF"),
        ("Ether rallies as bulls return", "Ether slumps as bears return"),
        ("Exchange resumes withdrawals", "Exchange halts withdrawals"),
        ("Solana soars 12 % in four hours", "Solana crashes 12 % in four hours"),
        ("Bridge launches", "Bridge hacked, users lose millions"),
        ("Exchange is not insolvent", "Exchange is insolvent"),
        ("Regulator drops lawsuit against Ripple", "Regulator files lawsuit against Ripple"),
        ("Hackers return stolen funds", "Hackers move stolen funds"),
        ("Fear index drops", "Fear index rises"),
    ],
)
def test_good_news_score_above_bad_news(better: str, worse: str) -> None:
    good, bad = calc_sentiment(better, ""), calc_sentiment(worse, "")
    assert good is not None and bad is not None
    assert -1 <= bad < 0 <= good <= 1


@pytest.mark.parametrize("title", ["Prime Trust opens an office", "A security token for shares", "Credit cards join"])
def test_names_and_terms_of_the_trade_are_neither_good_nor_bad(title: str) -> None:
    assert calc_sentiment(title, "") == 0


def test_title_and_summary_count_alike_and_no_text_has_no_score() -> None:
    title, summary = "Bitcoin soars", "A bridge was hacked."
    alone = calc_sentiment(title, ""), calc_sentiment("", summary)
    assert alone[0] is not None and alone[1] is not None
    assert calc_sentiment(title, summary) == pytest.approx((alone[0] + alone[1]) / 2, abs=1e-4)
    assert calc_sentiment(" ", "") is None


def test_every_word_of_our_lexicon_has_a_valence_and_a_reason() -> None:
    rows = list(csv.DictReader(files("lib.news").joinpath("lexicon.csv").read_text("utf-8").splitlines()))[1:]
    assert all(-4 <= float(row["valence"]) <= 4 and row["reason"] for row in rows)
    assert len({row["words"] for row in rows}) == len(rows)
