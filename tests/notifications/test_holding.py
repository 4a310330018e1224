"""When a channel takes what can wait."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from lib.notifications.holding import Holding, QuietHours, parse_quiet_hours

NIGHT = QuietHours(time(22), time(7))
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-02T{text}+00:00")


@pytest.mark.parametrize(
    ("quiet", "moment", "end"),
    [
        (NIGHT, "21:59", None),
        (NIGHT, "22:00", datetime(2026, 3, 3, 7, tzinfo=UTC)),
        (NIGHT, "06:59", at("07:00")),
        (NIGHT, "07:00", None),
        (QuietHours(time(12), time(14)), "11:59", None),
        (QuietHours(time(12), time(14)), "12:00", at("14:00")),
        (QuietHours(time(12), time(14)), "14:00", None),
    ],
)
def test_quiet_hours_include_their_beginning_and_end_at_an_instant(
    quiet: QuietHours, moment: str, end: datetime | None
) -> None:
    assert quiet.find_end(at(moment)) == end


def test_quiet_hours_follow_the_clocks_of_their_place() -> None:
    quiet = parse_quiet_hours("22:00-07:00 Europe/Berlin")
    winter, summer = datetime(2026, 1, 5, 23, tzinfo=UTC), datetime(2026, 7, 5, 23, tzinfo=UTC)
    assert quiet.find_end(winter) == datetime(2026, 1, 6, 6, tzinfo=UTC)
    assert quiet.find_end(summer) == datetime(2026, 7, 6, 5, tzinfo=UTC)


def test_an_end_that_is_in_the_hour_the_clocks_repeat_is_not_in_the_past() -> None:
    quiet = parse_quiet_hours("22:00-02:30 Europe/Berlin")
    for minutes in range(0, 7 * 60, 15):
        moment = datetime(2026, 10, 24, 20, 30, tzinfo=UTC) + timedelta(minutes=minutes)
        end = quiet.find_end(moment)
        assert end is None or end > moment


@pytest.mark.parametrize(
    "wrong", ["", "22-7", "25:00-07:00", "22:00-22:00", "22:00-07:00 Europe/Nowhere", "22:00-07:00 ../etc"]
)
def test_quiet_hours_that_say_nothing_are_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(ValueError, match='expected quiet hours as "22:00-07:00"'):
        parse_quiet_hours(wrong)


def test_what_is_collected_is_due_so_long_after_the_first_but_in_no_quiet_hours() -> None:
    collecting = Holding(collect=HOUR)
    both = Holding(NIGHT, HOUR)
    assert collecting.find_due(at("12:00"), at("12:30")) == at("13:00")
    assert both.find_due(at("21:30"), at("21:40")) == datetime(2026, 3, 3, 7, tzinfo=UTC)
    assert both.find_due(at("12:00"), at("12:30")) == at("13:00")


def test_what_was_not_sent_before_the_next_night_waits_for_its_end() -> None:
    assert Holding(NIGHT).find_due(at("06:00"), at("23:00")) == datetime(2026, 3, 3, 7, tzinfo=UTC)


def test_a_channel_without_wishes_holds_nothing() -> None:
    assert not Holding().holds(at("03:00"))
    assert Holding(NIGHT).holds(at("03:00"))
    assert not Holding(NIGHT).holds(at("12:00"))
    assert Holding(collect=HOUR).holds(at("12:00"))
