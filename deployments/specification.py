"""What `prefect.yaml` may say: Prefect itself accepts unknown and misspelt keys in silence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lib.errors import SettingsError

POOL = "fks"
TAG = "fks"  # marks what is ours on a shared Prefect server
DEAD_MANS_SWITCH = "dead-mans-switch"  # marks the automations that expect chains to complete
CRON_INSTANTS = 1000  # looked at for a cron line's longest pause; weekends and turns of the month are among them


@dataclass(frozen=True)
class Queue:
    """A work queue.

    Attributes:
        priority: 1 goes first.
        at_once: The most runs at the same time; None means any number.
    """

    priority: int
    at_once: int | None


# What stop losses depend on never waits for a place, and beside it at most three runs share the processors.
QUEUES = {"critical": Queue(1, None), "default": Queue(5, 2), "research": Queue(10, 1)}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScheduleSpec(_Strict):
    """One schedule: an interval in seconds from an anchor, or a cron line. Always UTC."""

    interval: Annotated[int, Field(ge=10)] | None = None
    anchor_date: AwareDatetime | None = None
    cron: str | None = None
    timezone: Literal["UTC"]

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.interval is None) == (self.cron is None):
            raise ValueError("give either interval or cron")
        if (self.interval is None) != (self.anchor_date is None):
            raise ValueError("an interval needs its anchor_date, and only an interval has one")
        return self

    @field_validator("cron")
    @classmethod
    def _cron_is_valid(cls, cron: str | None) -> str | None:
        from prefect.client.schemas.schedules import CronSchedule  # costs seconds; only who has a cron line pays

        if cron is not None:
            CronSchedule(cron=cron, timezone="UTC")
        return cron

    async def find_longest_pause(self) -> timedelta:
        """Return the longest time between two of its instants: of "0 9 * * 1-5", the weekend."""
        if self.interval is not None:
            return timedelta(seconds=self.interval)
        from prefect.server.schemas.schedules import CronSchedule  # the class that the server's scheduler asks

        schedule = CronSchedule(cron=self.cron or "", timezone="UTC")
        instants = await schedule.get_dates(CRON_INSTANTS, datetime(2026, 1, 1, tzinfo=UTC))
        return max(timedelta(seconds=(later - earlier).total_seconds()) for earlier, later in pairwise(instants))

    @property
    def words(self) -> str:
        """The schedule as people read it: "every 300 s, 2 s past the minute"."""
        if self.anchor_date is None:
            return f"cron `{self.cron}`"
        return f"every {self.interval} s, {self.anchor_date.second} s past the minute"


class PoolSpec(_Strict):
    """Where the runs go: one of the stack's queues."""

    name: Literal["fks"]
    work_queue_name: Literal["critical", "default", "research"]


class DeploymentSpec(_Strict):
    """One deployment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    entrypoint: Annotated[str, Field(pattern=r"^flows/[a-z_]+\.py:[a-z_]+$")]
    description: Annotated[str, Field(min_length=1)]
    tags: Annotated[list[str], Field(min_length=2)]
    schedules: list[ScheduleSpec] = []
    parameters: dict[str, Any] = {}
    work_pool: PoolSpec

    @field_validator("tags")
    @classmethod
    def _is_marked_as_ours(cls, tags: list[str]) -> list[str]:
        if TAG not in tags:
            raise ValueError(f"the tag {TAG!r} is missing")
        return tags

    @property
    def flow_name(self) -> str:
        """The flow's name: the function's, with dashes."""
        return self.entrypoint.partition(":")[2].replace("_", "-")

    @property
    def full_name(self) -> str:
        """``<flow>/<name>``, as Prefect writes it."""
        return f"{self.flow_name}/{self.name}"

    @property
    def is_critical(self) -> bool:
        """Whether stop losses depend on it."""
        return self.work_pool.work_queue_name == "critical"

    @property
    def when(self) -> str:
        """All schedules as people read them."""
        return "; ".join(schedule.words for schedule in self.schedules) or "by hand"


class PrefectFile(_Strict):
    """The whole file; `definitions` holds YAML anchors only."""

    definitions: dict[str, Any] = {}
    deployments: Annotated[list[DeploymentSpec], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [deployment.full_name for deployment in self.deployments]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"deployed twice: {', '.join(sorted(twice))}")
        return self


def load_prefect_file(path: Path) -> PrefectFile:
    """Read and check the file.

    Raises:
        SettingsError: Names each key that is wrong or unknown, and where.
    """
    try:
        return PrefectFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise SettingsError(f"{path.name} is wrong. " + "; ".join(problems)) from None
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} cannot be read: {error}. Restore it from the repository.") from error
