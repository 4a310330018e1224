"""From hour to hour: who is told when, and that it is told once."""

from __future__ import annotations

from datetime import timedelta

from lib.health.bounds import Breach
from lib.health.figures import Problem
from lib.health.following import follow, write_messages
from lib.notifications.messages import MessageType, Severity
from tests.health.samples import NOW

LATE = Breach("late default", "a run of the queue default is 31 minutes late (at most 30)", "see what runs there")
SLOW = Breach("slow fetch_news", "fetch_news takes 20.0 s", "see the logs")
HOUR = timedelta(hours=1)


def hours(*found: list[Breach]) -> list[tuple[list[str], list[str]]]:
    """Return what was told in each hour: the keys that began, and those that were over."""
    before: tuple[Problem, ...] = ()
    told = []
    for number, breaches in enumerate(found):
        followed = follow(before, breaches, NOW + number * HOUR)
        told.append(([one.key for one in followed.begun], [one.key for one in followed.over]))
        before = followed.problems
    return told


def test_a_problem_is_told_when_it_begins_and_once_when_it_is_over() -> None:
    late = LATE.key
    assert hours([LATE], [LATE], [LATE], [], [], []) == [
        ([late], []),
        ([], []),
        ([], []),
        ([], []),
        ([], [late]),
        ([], []),
    ]


def test_a_figure_that_swings_around_its_bound_is_told_once() -> None:
    assert hours([LATE], [], [LATE], [], [LATE]) == [([LATE.key], []), *[([], [])] * 4]


def test_another_problem_is_told_by_itself() -> None:
    assert hours([LATE], [LATE, SLOW], [SLOW], [SLOW]) == [
        ([LATE.key], []),
        ([SLOW.key], []),
        ([], []),
        ([], [LATE.key]),
    ]


def test_a_problem_keeps_the_instant_it_began_and_says_the_newest_figures() -> None:
    first = follow((), [LATE], NOW)
    worse = LATE._replace(what="a run of the queue default is 91 minutes late (at most 30)")
    (problem,) = follow(first.problems, [worse], NOW + HOUR).problems
    assert (problem.since, problem.what) == (NOW, worse.what)


def test_the_message_has_figure_bound_and_remedy_and_nothing_is_said_of_what_lasts() -> None:
    begun = follow((), [LATE, SLOW], NOW)
    (message,) = write_messages(begun, NOW)
    assert message.title == "⚠️ Out of bounds: late default, slow fetch_news"
    assert (message.type, message.severity) == (MessageType.OPERATIONS, Severity.WARNING)
    assert (
        "- a run of the queue default is 31 minutes late (at most 30). What to do: see what runs there." in message.body
    )
    assert write_messages(follow(begun.problems, [LATE, SLOW], NOW + HOUR), NOW + HOUR) == []
    gone = follow(begun.problems, [], NOW + HOUR)
    (over,) = write_messages(follow(gone.problems, [], NOW + 2 * HOUR), NOW + 2 * HOUR)
    assert over.title == "✅ Within bounds again: late default, slow fetch_news"
    assert "the all-clear" in over.body
    assert over.deduplication_key != message.deduplication_key


def test_a_headline_names_three_problems_at_most() -> None:
    many = [Breach(f"late {number}", "x", "y") for number in range(5)]
    (message,) = write_messages(follow((), many, NOW), NOW)
    assert message.title == "⚠️ Out of bounds: late 0, late 1, late 2 and 2 others"
