"""When and how tasks are tried again; imported by the processes of the search too, so it imports little."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from lib.errors import AllItemsFailed, DataError, OperatorError, TimeSpent

DATABASE_BLOCK = "fks-database"


def may_succeed_later(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Tell whether a retry may help: not where a person must act, the data is wrong, or the time is spent."""
    error = state.data
    if isinstance(error, AllItemsFailed):
        return error.retryable
    return not isinstance(error, OperatorError | DataError | TimeSpent)


# Seconds, because the next run comes in five minutes and a stop loss must not wait for a long retry.
RETRY_SECONDS = (2, 8)
RETRY: dict[str, Any] = {
    "retries": len(RETRY_SECONDS),
    "retry_delay_seconds": list(RETRY_SECONDS),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_succeed_later,
    "cache_policy": NO_CACHE,
}
