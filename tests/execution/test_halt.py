"""What the switch says that stops every order: whatever a person wrote there halts, unless it plainly says no."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lib.execution.halt import Halt, parse_halt

AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
CHANGED = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", " No ", "false", "off", "0", 0, False, {}, []])
def test_nothing_and_a_plain_no_do_not_halt(value: Any) -> None:
    assert parse_halt(value, CHANGED) is None


@pytest.mark.parametrize("value", ["yes", "prices look wrong", True, 1, ["x"], {"why": "x"}, {"reason": ""}])
def test_anything_else_halts_since_the_switch_was_changed(value: Any) -> None:
    halt = parse_halt(value, CHANGED)
    assert halt is not None
    assert halt.reason.strip()
    assert (halt.who, halt.at) == ("", CHANGED)


def test_what_the_command_keeps_comes_back_with_who_and_when() -> None:
    halt = Halt("prices look wrong", "anna", AT)
    assert parse_halt(halt.to_value(), CHANGED) == halt
    assert halt.describe() == "prices look wrong (anna, 2026-03-02 09:15 UTC)"
    assert Halt("by hand").describe() == "by hand"


@pytest.mark.parametrize("at", ["", "yesterday", "2026-03-02T09:15:00", 17])
def test_an_instant_that_is_none_does_not_keep_it_from_halting(at: Any) -> None:
    assert parse_halt({"reason": "x", "at": at}, CHANGED) == Halt("x", "", CHANGED)
