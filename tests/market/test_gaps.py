"""Gap arithmetic: by hand on small cases, and against sets of open times on random ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.market.gaps import (
    WITHHELD,
    Gap,
    GapState,
    Seen,
    Span,
    find_missing,
    intersect_spans,
    is_inside,
    merge_spans,
    plan_request,
    subtract_spans,
    update_gaps,
)
from lib.units import EPOCH

WIDTH = timedelta(minutes=5)
SETTLE = timedelta(hours=1)
LATER = EPOCH + 400 * WIDTH


def at(number: int) -> datetime:
    return EPOCH + number * WIDTH


def span(start: int, end: int) -> Span:
    return Span(at(start), at(end))


def opens_of(spans: Sequence[Span]) -> set[int]:
    return {number for one in spans for number in range((one.start - EPOCH) // WIDTH, (one.end - EPOCH) // WIDTH)}


def is_tidy(spans: Sequence[Span]) -> bool:
    ends = [instant for one in spans for instant in one]
    return ends == sorted(set(ends))


numbers = st.integers(0, 60)
spans = st.lists(st.tuples(numbers, numbers).map(lambda pair: span(min(pair), max(pair))), max_size=8)
windows = st.tuples(numbers, numbers).map(lambda pair: span(min(pair), max(pair) + 1))


@given(spans)
def test_merging_keeps_every_open_time_in_separate_rising_spans(given_spans: list[Span]) -> None:
    merged = merge_spans(given_spans)
    assert opens_of(merged) == opens_of(given_spans)
    assert is_tidy(merged)


@given(spans, spans)
def test_subtracting_is_the_difference_of_the_open_times(left: list[Span], right: list[Span]) -> None:
    rest = subtract_spans(left, right)
    assert opens_of(rest) == opens_of(left) - opens_of(right)
    assert is_tidy(rest)


@given(spans, windows)
def test_intersecting_is_the_intersection_of_the_open_times(left: list[Span], window: Span) -> None:
    assert opens_of(intersect_spans(left, window)) == opens_of(left) & opens_of([window])


@given(spans, numbers)
def test_a_time_is_inside_when_one_of_the_spans_has_it(given_spans: list[Span], number: int) -> None:
    assert is_inside(at(number), merge_spans(given_spans)) == (number in opens_of(given_spans))


@given(st.sets(numbers), windows)
def test_missing_is_what_the_window_has_and_the_candles_have_not(stored: set[int], window: Span) -> None:
    missing = find_missing([at(number) for number in sorted(stored)], window, WIDTH)
    assert opens_of(missing) == opens_of([window]) - stored
    assert is_tidy(missing)


def test_the_example_of_the_real_data_2020_12_21() -> None:
    day = datetime(2020, 12, 21, tzinfo=EPOCH.tzinfo)
    hours = [day + timedelta(hours=hour) for hour in (12, 13, 18, 19)]
    (hole,) = find_missing(hours, Span(hours[0], hours[-1]), timedelta(hours=1))
    assert hole == (day + timedelta(hours=14), day + timedelta(hours=18))
    assert hole.count(timedelta(hours=1)) == 4


@pytest.mark.parametrize(
    ("missing", "page", "expected"),
    [
        ([span(3, 5)], 1000, (at(3), 3)),
        ([span(3, 5), span(8, 9)], 1000, (at(3), 7)),
        ([span(3, 5), span(20, 30)], 10, (at(3), 3)),
        ([span(3, 5), span(8, 30)], 10, (at(3), 10)),
        ([span(0, 5000)], 1000, (at(0), 1000)),
    ],
    ids=["one", "two in a page", "the second too far", "the second cut", "longer than a page"],
)
def test_a_request_reaches_over_what_a_page_holds_and_one_candle_further(
    missing: list[Span], page: int, expected: tuple[datetime, int]
) -> None:
    assert plan_request(missing, WIDTH, page) == expected


@given(spans, st.integers(2, 20))
def test_requests_for_a_full_exchange_go_over_everything_in_as_many_pages_as_needed(
    given_spans: list[Span], page: int
) -> None:
    missing = merge_spans(given_spans)
    requests = 0
    while missing:
        since, limit = plan_request(missing, WIDTH, page)
        assert 2 <= limit <= page
        went_over = Span(since, since + limit * WIDTH)
        assert missing[0].start == since
        missing = subtract_spans(missing, [went_over])
        requests += 1
    assert requests <= len(opens_of(given_spans))


def look(opens: Sequence[int], rejected: Sequence[int] = (), now: datetime = LATER) -> Seen:
    return Seen([at(number) for number in opens], {at(number): "bad" for number in rejected}, now, WIDTH, SETTLE)


def test_a_hole_in_an_answer_is_a_new_gap_to_be_asked_for_at_once() -> None:
    (gap,) = update_gaps([], [span(0, 5)], look([0, 1, 4]))
    assert (gap.span, gap.attempts, gap.found_at, gap.is_due(LATER)) == (span(2, 4), 1, LATER, True)


def test_a_second_answer_without_an_old_candle_verifies_its_absence() -> None:
    known = Gap(span(2, 4), at(10), attempts=1)
    (gap,) = update_gaps([known], [span(2, 4)], look([]))
    assert (gap.state, gap.found_at, gap.checked_at, gap.is_due(LATER)) == (
        GapState.VERIFIED_ABSENT,
        at(10),
        LATER,
        False,
    )


def test_a_young_gap_is_not_verified_however_often_it_was_asked_for() -> None:
    known = Gap(span(2, 4), at(4), attempts=7)
    now = at(4) + SETTLE - timedelta(seconds=1)
    (gap,) = update_gaps([known], [span(2, 4)], look([], now=now))
    assert (gap.state, gap.attempts) == (GapState.OPEN, 8)
    (gap,) = update_gaps([known], [span(2, 4)], look([], now=at(4) + SETTLE))
    assert gap.state is GapState.VERIFIED_ABSENT


def test_what_an_answer_does_not_prove_stays_open_uncounted_and_is_asked_for_later() -> None:
    seen = replace(look([7]), proven_from=at(5))
    gaps = update_gaps([Gap(span(2, 9), at(10), attempts=1)], [span(2, 9)], seen)
    assert [(gap.span, gap.state, gap.attempts) for gap in gaps] == [
        (span(2, 5), GapState.OPEN, 1),
        (span(5, 7), GapState.VERIFIED_ABSENT, 2),
        (span(8, 9), GapState.VERIFIED_ABSENT, 2),
    ]
    assert (gaps[0].reason, gaps[0].checked_at) == (WITHHELD, LATER)


def test_an_impossible_candle_splits_a_gap_and_stays_open() -> None:
    known = Gap(span(2, 6), at(10), attempts=1)
    gaps = update_gaps([known], [span(2, 6)], look([2], rejected=[4]))
    assert [(gap.span, gap.state, gap.reason) for gap in gaps] == [
        (span(3, 4), GapState.VERIFIED_ABSENT, "not in the exchange's answer"),
        (span(4, 5), GapState.OPEN, "bad"),
        (span(5, 6), GapState.VERIFIED_ABSENT, "not in the exchange's answer"),
    ]


def test_what_the_answer_did_not_go_over_stays_as_it_was() -> None:
    known = Gap(span(2, 9), at(10), attempts=1)
    gaps = update_gaps([known], [span(2, 5)], look([2, 3, 4]))
    assert gaps == [Gap(span(5, 9), at(10), attempts=1)]


@given(spans, spans, st.sets(numbers), st.sets(numbers))
def test_after_an_answer_exactly_what_is_still_missing_is_in_a_gap(
    known: list[Span], asked: list[Span], received: set[int], rejected: set[int]
) -> None:
    before = [Gap(one, at(0)) for one in merge_spans(known)]
    bad = rejected - received
    gaps = update_gaps(before, merge_spans(asked), look(sorted(received), sorted(bad)))
    left = [gap.span for gap in gaps]
    expected = (opens_of(known) - opens_of(asked)) | (opens_of(asked) - received)
    assert opens_of(left) == expected
    assert sum(one.count(WIDTH) for one in left) == len(expected)  # no open time is in two gaps
    assert left == sorted(left)
    assert opens_of([gap.span for gap in gaps if gap.reason == "bad"]) == bad & opens_of(asked)


@given(spans, st.sets(numbers))
def test_asking_until_nothing_is_due_ends_after_two_answers(known: list[Span], existing: set[int]) -> None:
    gaps = [Gap(one, at(0)) for one in merge_spans(known)]
    answers = 0
    while due := merge_spans(gap.span for gap in gaps if gap.is_due(LATER)):
        gaps = update_gaps(gaps, due, look(sorted(existing)))
        answers += 1
    assert answers <= 2
    assert all(gap.state is GapState.VERIFIED_ABSENT for gap in gaps)
    assert opens_of([gap.span for gap in gaps]) == opens_of(known) - existing
