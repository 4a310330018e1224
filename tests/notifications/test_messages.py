from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.errors import OperatorError
from lib.notifications.cleaning import clean_text, neutralise_mentions
from lib.notifications.messages import LARGEST_ATTACHMENT_BYTES, Attachment, MessageType, Severity
from lib.notifications.texts import ALL_CLEAR, FAMILIES, write_import_failed, write_note
from tests.notifications.samples import NOON, make_message

LIB = Path(__file__).parents[2] / "lib"
LITERAL_WITH_SIGN = re.compile("[\"']([\u2600-\u26ff\u2705\U0001f300-\U0001faff]\ufe0f?)[ \"']")


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": " "},
        {"body": ""},
        {"body": " \n\t"},
        {"body": "\x00\x07"},
        {"deduplication_key": " "},
        {"deduplication_key": "k" * 501},
        {"created_at": datetime(2026, 3, 2)},  # noqa: DTZ001 - a naive instant is what is refused
    ],
)
def test_a_message_without_content_key_or_time_zone_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        make_message(**{"title": "a title", "deduplication_key": "key", **wrong})


def test_a_message_is_free_of_control_characters_and_its_title_is_one_line() -> None:
    message = make_message("a\x00 title\r\nof  two lines\x1b[31m", body="\x07one\r\ntwo\x00\x85three\u202eback\ud800")

    assert message.title == "a title of two lines[31m"
    assert message.body == "one\ntwo\nthreeback\ufffd"


def test_every_character_that_people_use_stays() -> None:
    text = "🛑 Ünïcode — tab\there, 👨‍👩‍👧 +5 % ≤ 10\n  indented"
    assert clean_text(text) == text


def test_mentions_are_read_but_call_nobody() -> None:
    told = neutralise_mentions("@everyone @HERE <@123> <@!1> <@&7> <!channel> bob@example.com 1 < 2 <3")

    assert "@everyone" not in told
    assert "@HERE" not in told
    assert "<@" not in told
    assert "<!" not in told
    assert told.endswith("bob@example.com 1 < 2 <3")


def test_every_type_has_its_emoji() -> None:
    assert set(FAMILIES) == set(MessageType)


def test_a_title_begins_with_the_sign_of_a_family_or_one_of_the_few_others_that_the_runbook_names() -> None:
    signs = {*FAMILIES.values(), ALL_CLEAR, "🎯", "📬", "🧪"}
    titles = [
        (path.name, literal)
        for folder in (LIB, LIB.parent / "deployments")
        for path in folder.rglob("*.py")
        for literal in LITERAL_WITH_SIGN.findall(path.read_text())
    ]
    others = {"🔁", "📎"}  # of a repeat, and of files: within a text

    assert {sign for _, sign in titles} - others <= signs
    assert {*FAMILIES.values(), "🎯", "📬", "🧪"} <= {sign for _, sign in titles}
    runbook = (LIB.parent / "docs" / "operations.md").read_text()
    assert all(f"| {sign} |" in runbook for sign in signs)


def test_every_room_that_tells_people_something_tells_them_what_to_do() -> None:
    writers = [path for path in LIB.rglob("*.py") if re.search(r"import .*\bcompose\b", path.read_text())]
    silent = {path.relative_to(LIB).as_posix() for path in writers if "What to do:" not in path.read_text()}

    assert len(writers) > 8
    assert silent == {"reporting/message.py"}  # a report lists what needs attention


def test_a_note_takes_its_first_line_as_title() -> None:
    note = write_note(MessageType.OPERATIONS, "\nMaintenance tonight\nfrom 22:00", urgent=True, key="run-1", at=NOON)

    assert note.title == "⚠️ Maintenance tonight"
    assert note.body == "Maintenance tonight\nfrom 22:00"
    assert note.severity is Severity.URGENT
    assert note.deduplication_key == "operations:note:run-1"


@pytest.mark.parametrize("text", ["", "  \n", "\x00"])
def test_a_note_without_words_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="Expected a message"):
        write_note(MessageType.OPERATIONS, text, urgent=False, key="run-1", at=NOON)


def test_a_failed_import_is_told_urgently_once_a_day_and_reason_and_says_what_is_not_watched() -> None:
    remedy = "Expected a valid key. Enter it in .env."
    first = write_import_failed("demo SOL/USDT fills", remedy, at=NOON)
    again = write_import_failed("demo SOL/USDT fills", remedy, at=NOON + timedelta(hours=11))
    others = [
        write_import_failed("demo SOL/USDT fills", remedy, at=NOON + timedelta(days=1)),
        write_import_failed("other SOL/USDT fills", remedy, at=NOON),
        write_import_failed("demo ETH/USDT fills", remedy, at=NOON),
        write_import_failed("demo SOL/USDT fills", "Fill 17 of SOL/USDT cannot be.", at=NOON),
    ]

    assert first.severity is Severity.URGENT
    assert first.body.startswith(remedy)
    assert "nothing watches it" in first.body
    assert first.deduplication_key == again.deduplication_key
    same_reason = write_import_failed("demo SOL/USDT fills", "Fill 18 of SOL/USDT cannot be.", at=NOON)
    assert same_reason.deduplication_key == others[-1].deduplication_key
    assert len({first.deduplication_key, *(other.deduplication_key for other in others)}) == 5


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"name": ""}, "Expected a plain file name"),
        ({"name": "../chart.png"}, "Expected a plain file name"),
        ({"name": 'a"b.png'}, "Expected a plain file name"),
        ({"name": "a\r\nb.png"}, "Expected a plain file name"),
        ({"name": ".."}, "Expected a plain file name"),
        ({"media_type": "png"}, "Expected the media type of chart.png"),
        ({"content": b""}, "Expected 1 to 8,000,000 bytes in chart.png, was 0"),
        ({"content": bytes(LARGEST_ATTACHMENT_BYTES + 1)}, "was 8,000,001. Make it smaller"),
    ],
)
def test_a_file_that_no_channel_could_take_is_refused_by_name(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Attachment(**{"name": "chart.png", "media_type": "image/png", "content": b"\x89PNG", **wrong})


def test_a_file_may_be_as_large_as_discord_takes_and_carry_any_letters() -> None:
    content = bytes(LARGEST_ATTACHMENT_BYTES)
    assert Attachment("Überblick 2026-03.html", "text/html", content).content is content


def test_too_many_files_or_two_of_one_name_are_refused() -> None:
    chart = Attachment("chart.png", "image/png", b"1")
    many = tuple(Attachment(f"{number}.png", "image/png", b"1") for number in range(31))
    with pytest.raises(ValueError, match="was 2 with 1 names"):
        make_message(attachments=(chart, chart))
    with pytest.raises(ValueError, match="Expected at most 30 attachments"):
        make_message(attachments=many)
