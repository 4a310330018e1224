from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lib.notifications.parts import CUT_NOTE, Part, count_characters, mark_repeat, render_parts
from tests.notifications.samples import make_message

DISCORD = 2000
SHORT = 280
texts = st.text(st.sampled_from("ab é🛑\n@<"), min_size=1, max_size=6000).filter(str.strip)


def test_a_short_message_is_one_part_as_it_is() -> None:
    assert render_parts(make_message("title", body="line one\nline two"), DISCORD) == (
        Part("title", "line one\nline two"),
    )


def test_an_emoji_counts_as_two_characters() -> None:
    assert count_characters("a🛑é") == 4


def test_a_link_ends_the_last_part() -> None:
    parts = render_parts(make_message(body="word " * 800, link="http://localhost/run"), DISCORD)
    assert [part.body.endswith("http://localhost/run") for part in parts] == [False, False, True]


def test_a_text_is_cut_at_line_ends() -> None:
    lines = [f"line {number:03} with some words" for number in range(200)]
    parts = render_parts(make_message(body="\n".join(lines)), DISCORD)

    assert len(parts) == 3
    assert [line for part in parts for line in part.body.split("\n")] == lines


def test_a_line_that_is_too_long_is_cut_between_words() -> None:
    words = [f"word{number}" for number in range(900)]
    parts = render_parts(make_message(body=" ".join(words)), DISCORD)

    assert " ".join(part.body for part in parts).split(" ") == words


def test_a_word_that_is_too_long_is_cut_anywhere() -> None:
    parts = render_parts(make_message(body="x" * 5000), DISCORD)
    assert "".join(part.body for part in parts) == "x" * 5000


@given(title=texts, body=texts)
def test_every_part_fits_the_channel_even_as_a_repeat_and_no_letter_is_lost(title: str, body: str) -> None:
    message = make_message(title, body=body, deduplication_key="key")
    parts = render_parts(message, DISCORD)

    for part in (mark_repeat(part, DISCORD) for part in parts):
        assert count_characters(f"{part.title}\r\n{part.body}") <= DISCORD
        assert part.body.strip()
    told = "".join(part.body for part in parts)
    missing = "" if count_characters(message.title) <= 150 else message.title
    assert _letters(told) == _letters(missing + message.body)


def test_a_text_without_end_is_cut_and_says_so() -> None:
    parts = render_parts(make_message(body="word " * 100_000), DISCORD)

    assert len(parts) == 30
    assert parts[-1].body.endswith(CUT_NOTE)
    repeated = [mark_repeat(part, DISCORD) for part in parts]
    assert all(count_characters(f"{part.title}\r\n{part.body}") <= DISCORD for part in repeated)


def test_a_long_text_is_three_parts_at_most_where_texts_are_short() -> None:
    parts = render_parts(make_message("🛑 STOP LOSS triggered: SOL/USDT", body="word " * 500), SHORT)

    assert len(parts) == 3
    assert all(count_characters(f"{part.title}\r\n{part.body}") <= SHORT for part in parts)


def test_a_block_of_code_is_closed_at_the_end_of_a_part_and_opened_again_in_the_next() -> None:
    lines = [f"row {number:03} | 12.5 | ** no bold" for number in range(200)]
    body = "Look:\n```text\n" + "\n".join(lines) + "\n```\nThat was all."

    parts = render_parts(make_message(body=body), DISCORD)

    assert len(parts) > 2
    assert all(part.body.count("```") == 2 for part in parts)
    assert all(part.body.startswith("```text\nrow") for part in parts[1:])
    rows = [line for part in parts for line in part.body.split("\n") if line.startswith("row")]
    assert rows == lines
    assert parts[-1].body.endswith("```\nThat was all.")


def test_bold_text_over_a_border_is_bold_in_both_parts() -> None:
    body = "**" + "strong words " * 300 + "end** and `**` plain"
    first, *_, last = render_parts(make_message(body=body), DISCORD)
    assert first.body.startswith("**strong")
    assert first.body.endswith("**")
    assert last.body.startswith("**")
    assert last.body.endswith("end** and `**` plain")


def test_marks_that_the_text_itself_leaves_open_change_nothing() -> None:
    body = "2 ** 3 and ``` and " + "word " * 900
    parts = render_parts(make_message(body=body), DISCORD)
    assert " ".join(part.body for part in parts).split() == body.split()


@given(st.text(st.sampled_from("ab \n`*_~|🛑"), min_size=1, max_size=9000).filter(str.strip))
def test_every_part_fits_whatever_markdown_it_has(body: str) -> None:
    for part in render_parts(make_message("title", body=body, deduplication_key="key"), DISCORD):
        repeated = mark_repeat(part, DISCORD)
        assert count_characters(f"{repeated.title}\r\n{repeated.body}") <= DISCORD


def test_the_same_message_gives_the_same_parts() -> None:
    message = make_message(body="one two three\n" * 500)
    assert render_parts(message, DISCORD) == render_parts(message, DISCORD)


def _letters(text: str) -> str:
    return "".join(text.replace("\u200b", "").split())
