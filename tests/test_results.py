"""What items add up to."""

from datetime import UTC, datetime

import pytest

from lib.errors import AllItemsFailed
from lib.results import Item, Status, TaskResult, calc_status, render_count

OK = Item(name="a", status=Status.OK)
FRESH = Item(name="b", status=Status.SKIPPED, detail="fresh")
DOWN = Item(name="c", status=Status.FAILED, detail="timed out", retryable=True)
WRONG = Item(name="d", status=Status.FAILED, detail="unknown symbol")


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], Status.SKIPPED),
        ([FRESH], Status.SKIPPED),
        ([OK, FRESH], Status.OK),
        ([OK, DOWN], Status.PARTIAL),
        ([FRESH, DOWN], Status.PARTIAL),
    ],
)
def test_items_add_up_to_a_status(items: list[Item], expected: Status) -> None:
    assert calc_status("sync", items) is expected


@pytest.mark.parametrize(("items", "retryable"), [([DOWN, WRONG], True), ([WRONG], False)])
def test_a_task_whose_items_all_failed_fails_and_says_why(items: list[Item], retryable: bool) -> None:
    with pytest.raises(AllItemsFailed, match="d: unknown symbol") as caught:
        calc_status("sync", items)
    assert caught.value.retryable is retryable


def test_a_reason_that_many_items_share_is_said_once() -> None:
    many = [Item(name=f"S{n}", status=Status.FAILED, detail="no network.") for n in range(5)]
    with pytest.raises(AllItemsFailed) as caught:
        calc_status("sync", [*many, WRONG])
    assert str(caught.value) == "sync: all 6 items failed. S0, S1, S2 and 2 more: no network; d: unknown symbol"


def test_the_summary_names_the_failed_items_and_leaves_out_zero_counts() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    result = TaskResult(
        task="sync",
        status=Status.PARTIAL,
        counts={"candles": 40, "revised": 0},
        items=(OK, DOWN),
        started_at=at,
        finished_at=at,
    )
    assert result.summary == "partial: 40 candles, 1 failed (c)"


@pytest.mark.parametrize(
    ("count", "name", "expected"),
    [
        (1, "gaps found", "1 gap found"),
        (2, "gaps found", "2 gaps found"),
        (0, "alerts", "0 alerts"),
        (1, "new fills", "1 new fill"),
        (1, "stops set", "1 stop set"),
        (1, "balances", "1 balance"),
        (1, "new stories", "1 new story"),
        (1, "series", "1 series"),
        (1, "purchases", "1 purchase"),
        (1, "batches", "1 batch"),
        (1, "losses", "1 loss"),
        (1, "boxes", "1 box"),
        (1, "verified absent", "1 verified absent"),
        (1, "loss of a status", "1 loss of a status"),
        (322_625, "candles", "322,625 candles"),
    ],
)
def test_counts_read_as_people_write_them(count: int, name: str, expected: str) -> None:
    assert render_count(count, name) == expected
