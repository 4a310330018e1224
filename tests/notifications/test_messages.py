from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from lib.errors import OperatorError
from lib.notifications.cleaning import clean_text, neutralise_mentions
from lib.notifications.messages import MessageType, Severity
from lib.notifications.texts import FAMILIES, write_chain_failed, write_chain_missing, write_note
from tests.notifications.samples import NOON, make_message


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


def test_one_outage_is_one_message_and_the_next_outage_another() -> None:
    chain = "critical-path/every-5-minutes"
    later = NOON.replace(hour=13)
    first = write_chain_missing(chain, every_minutes=5, completed_at=NOON, at=NOON.replace(minute=10))
    again = write_chain_missing(chain, every_minutes=5, completed_at=NOON, at=NOON.replace(minute=15))
    other = write_chain_missing(chain, every_minutes=5, completed_at=later, at=later.replace(minute=10))

    assert first.deduplication_key == again.deduplication_key != other.deduplication_key
    assert first.severity is Severity.URGENT
    assert "2026-03-02 12:00 UTC" in first.body


def test_a_chain_that_never_completed_says_so() -> None:
    message = write_chain_missing("critical-path/every-5-minutes", every_minutes=5, completed_at=None, at=NOON)
    assert "Last completed: never." in message.body


def test_a_failed_run_is_one_message_with_its_reason_and_link() -> None:
    message = write_chain_failed("news/hourly", "no feed answered", run="run-1", at=NOON, link="http://localhost/run-1")

    assert message.title == "⚠️ news/hourly failed"
    assert message.body.startswith("no feed answered\n")
    assert message.link == "http://localhost/run-1"
    assert message.deduplication_key == "operations:failed:news/hourly:run-1"
