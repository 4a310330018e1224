from __future__ import annotations

import pytest

from lib.news.wording import escape_markdown, to_plain_text


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ("<h1>Fees &amp; tips</h1><p>BTC < 50k", "Fees & tips BTC < 50k"),
        ("<script>alert(1)</script>Told<style>p{}</style>", "Told"),
        ("one\r\n two\tthree\x00\u202efour", "one two threefour"),
        ("1 < 2 > 0 && 3", "1 < 2 > 0 && 3"),
        ("<img src=x onerror=alert(1)>", ""),
        ("", ""),
    ],
)
def test_mark_up_and_control_characters_are_taken_out(markup: str, plain: str) -> None:
    assert to_plain_text(markup, 100) == plain


def test_a_long_text_ends_at_a_word() -> None:
    assert to_plain_text("word " * 30, 23) == "word word word word…"
    assert len(to_plain_text("x" * 100, 10)) == 10


def test_markdown_shows_foreign_text_as_it_is() -> None:
    foreign = "a|b [x](http://evil.example) <img> @everyone www.evil.example *b* _c_ `d` &lt;"
    escaped = escape_markdown(foreign)
    assert escaped.startswith(r"a\|b \[x\](http")
    assert "http:" not in escaped
    assert "www." not in escaped
    assert "<" not in escaped
    assert "@everyone" not in escaped
    assert r"\*b\* \_c\_ \`d\` &amp;lt;" in escaped
