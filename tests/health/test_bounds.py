"""Which figures are out of bounds."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

import flows.order_tasks
import flows.tasks
from lib.health.bounds import HealthBounds, find_breaches
from lib.health.figures import QueueFigures, QueueState, SizeFigures, TaskFigures
from lib.health.speeds import FAST, MEDIUM, Speed, speed_of
from tests.health.samples import (
    ACCOUNT,
    BACKLOG,
    CANDLES,
    NOW,
    QUEUE,
    SERVER,
    SIZE,
    STATE,
    STORE,
    TASK,
    WORKER,
)


def breaches_of_state(**changes: Any) -> dict[str, str]:
    server = SERVER.model_copy(update={"state": STATE.model_copy(update=changes)})
    return {one.key: one.what for one in find_breaches(server, STORE, HealthBounds(), NOW)}


def breaches_of_store(**changes: Any) -> dict[str, str]:
    store = STORE.model_copy(update=changes)
    return {one.key: one.what for one in find_breaches(None, store, HealthBounds(), NOW)}


def breaches_of_task(**changes: Any) -> dict[str, str]:
    server = SERVER.model_copy(update={"tasks": (TASK.model_copy(update=changes),)})
    return {one.key: one.what for one in find_breaches(server, STORE, HealthBounds(), NOW)}


def test_figures_within_their_bounds_are_no_problem() -> None:
    assert find_breaches(SERVER, STORE, HealthBounds(), NOW) == []


def test_a_task_that_fails_too_often_is_named_with_its_rate() -> None:
    assert breaches_of_task(failed=29) == {
        "failing check_stop_loss": "check_stop_loss failed in 29 of 288 runs (10 %, at most 10 %)"
    }
    assert breaches_of_task(failed=28) == {}


def test_a_median_above_its_class_is_named_and_one_slow_run_is_not() -> None:
    assert breaches_of_task(median_seconds=5.1) == {
        "slow check_stop_loss": "check_stop_loss takes 5.1 s (median of 288 runs; it is fast: at most 5 s)"
    }
    assert breaches_of_task(median_seconds=5, longest_seconds=500) == {}
    assert breaches_of_task(speed=Speed.MEDIUM, median_seconds=14.9) == {}
    assert list(breaches_of_task(speed=Speed.MEDIUM, median_seconds=15.1)) == ["slow check_stop_loss"]
    assert breaches_of_task(speed=Speed.SLOW, median_seconds=4000) == {}


def test_of_few_runs_nothing_is_said() -> None:
    assert breaches_of_task(ended=9, failed=9, median_seconds=60) == {}


@pytest.mark.parametrize(
    ("queue", "key"),
    [
        ({"waiting": 21}, "deep default"),
        ({"oldest_due_at": NOW - timedelta(minutes=31)}, "late default"),
        ({"is_paused": True}, "paused default"),
    ],
)
def test_a_queue_that_is_stuck_is_named(queue: dict[str, Any], key: str) -> None:
    stuck: QueueFigures = QUEUE.model_copy(update=queue)
    assert list(breaches_of_state(queues=(stuck,))) == [key]


@pytest.mark.parametrize(
    ("state", "keys"),
    [
        ({"workers": (WORKER.model_copy(update={"is_online": False}),)}, ["workers"]),
        ({"workers": ()}, ["workers"]),
        ({"pool": "paused"}, ["pool"]),
        ({"pool": "missing", "queues": (), "workers": ()}, ["pool"]),
    ],
)
def test_a_pool_in_which_nothing_runs_is_named(state: dict[str, Any], keys: list[str]) -> None:
    assert list(breaches_of_state(**state)) == keys


@pytest.mark.parametrize(
    ("store", "key", "words"),
    [
        (
            {"timeframes": (CANDLES.model_copy(update={"behind": 4}),)},
            "candles 1h",
            "ADA/USDT lacks the newest 4 candles of 1h (at most 3)",
        ),
        (
            {"timeframes": (CANDLES.model_copy(update={"behind": None, "failing": ("ADA/USDT",)}),)},
            "candles 1h",
            "ADA/USDT lacks every candle of 1h (at most 3)",
        ),
        (
            {"accounts": (ACCOUNT.model_copy(update={"at": NOW - timedelta(minutes=75)}),)},
            "balance demo",
            "the newest balance of demo is 75 minutes old (at most 60)",
        ),
        ({"strategies": ()}, "strategies", "0 strategies of 4 give signals (at least 1)"),
        (
            {"sizes": (SIZE.model_copy(update={"measured_bytes": 900_000_000}),)},
            "growth fks",
            "fks grew by 1100 MB a day (at most 1000)",
        ),
        (
            {"sizes": (SIZE.model_copy(update={"size_bytes": 51_000_000_000, "measured_bytes": None}),)},
            "size fks",
            "fks has 51.0 GB (at most 50)",
        ),
        (
            {"backlog": BACKLOG.model_copy(update={"waiting": 7, "oldest_at": NOW - timedelta(hours=2)})},
            "backlog",
            "7 messages wait for a channel, the oldest for 120 minutes (at most 60)",
        ),
    ],
)
def test_what_the_database_tells_is_held_against_its_bound(store: dict[str, Any], key: str, words: str) -> None:
    assert breaches_of_store(**store) == {key: words}


def test_what_has_not_begun_yet_is_no_problem() -> None:
    first = {
        "timeframes": (CANDLES.model_copy(update={"behind": None, "newest_at": None}),),
        "accounts": (ACCOUNT.model_copy(update={"equity": None, "at": None}),),
        "strategies": (),
        "known_strategies": 0,
    }
    assert breaches_of_store(**first) == {}


def test_growth_is_a_days_and_unknown_without_a_measurement() -> None:
    size = SizeFigures(name="fks", size_bytes=500, measured_bytes=200, measured_on=date(2026, 3, 1))
    assert size.find_growth(date(2026, 3, 4)) == 100
    assert size.model_copy(update={"measured_on": None}).find_growth(date(2026, 3, 4)) is None


def test_every_task_that_has_a_class_is_a_task_of_the_flows() -> None:
    tasks = {
        value.name
        for module in (flows.tasks, flows.order_tasks)
        for value in vars(module).values()
        if hasattr(value, "task_run_name")
    }
    assert tasks >= FAST | MEDIUM
    assert not FAST & MEDIUM
    assert (speed_of("check_stop_loss"), speed_of("run_backtest")) == (Speed.FAST, Speed.SLOW)


def test_a_task_of_which_every_run_failed_has_failed_in_all() -> None:
    assert TaskFigures.model_validate(TASK.model_dump() | {"failed": 288}).failed_pct == 100
    assert QueueState.model_validate(STATE.model_dump()) == STATE
