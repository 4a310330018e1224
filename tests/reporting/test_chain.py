"""A chain's artifact says what happened without asking a person to count."""

from datetime import UTC, datetime

from lib.reporting.chain import Outcome, calc_chain_status, render_chain, render_headline
from lib.results import Item, Status, TaskResult

AT = datetime(2026, 1, 1, tzinfo=UTC)


def result(task: str, status: Status, counts: dict[str, int], *items: Item) -> TaskResult:
    return TaskResult(task=task, status=status, counts=counts, items=items, started_at=AT, finished_at=AT)


FRESH = tuple(Item(name=f"S{n}/USDT 1h", status=Status.SKIPPED, detail="fresh") for n in range(40))
SYNC = Outcome("sync_market_data", result("sync_market_data", Status.SKIPPED, {"candles": 0}, *FRESH))
POSITIONS = Outcome(
    "update_positions",
    result(
        "update_positions",
        Status.PARTIAL,
        {"positions": 3},
        Item(name="demo BTC/USDT", status=Status.OK, detail="priced"),
        Item(name="demo SOL/USDT", status=Status.FAILED, detail="timed out"),
    ),
)
DEAD = Outcome("check_stop_loss", error="the database went away")


def test_the_headline_counts_what_was_done_and_names_what_failed() -> None:
    assert render_headline([SYNC, POSITIONS, DEAD]) == (
        "3 positions, 1 failed (demo SOL/USDT), failed: check_stop_loss"
    )
    assert render_headline([SYNC]) == "nothing to do"


def test_the_headline_counts_as_people_do() -> None:
    counts = {"candles": 322_625, "gaps found": 1, "late": 1}
    synced = Outcome("sync_market_data", result("sync_market_data", Status.OK, counts))
    assert render_headline([synced]) == "322,625 candles, 1 gap found, 1 late"
    assert synced.line == "ok: 322,625 candles, 1 gap found, 1 late"


def test_the_artifact_groups_what_was_skipped_and_shows_each_failure() -> None:
    text = render_chain([SYNC, POSITIONS, DEAD])
    assert "40 items" in text
    assert "S7/USDT" not in text
    assert "timed out" in text
    assert "the database went away" in text


def test_what_many_items_say_alike_is_said_once() -> None:
    items = [Item(name=f"S{n}/USDT 1h", status=Status.OK, detail="the last 1000 computed anew") for n in range(40)]
    items.append(Item(name="BTC/USDT 1h", status=Status.OK, detail="1 added"))
    text = render_chain([Outcome("update_indicators", result("update_indicators", Status.OK, {"rows": 1}, *items))])
    assert text.count("computed anew") == 1
    assert "40 items" in text
    assert "BTC/USDT 1h" in text


def test_the_worst_task_decides_the_chains_status() -> None:
    assert calc_chain_status([SYNC]) is Status.OK
    assert calc_chain_status([SYNC, POSITIONS]) is Status.PARTIAL
    assert calc_chain_status([SYNC, POSITIONS, DEAD]) is Status.FAILED
