"""What the stack asks of its Prefect server, over HTTP: importing Prefect costs seconds and a hundred megabytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from lib.errors import RetryableError

ANSWER_SECONDS = 30
HEALTH_SECONDS = 5
GONE = httpx.codes.NOT_FOUND
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


class ServerSilent(RetryableError):
    """The Prefect server did not answer, or refused."""


@dataclass(frozen=True)
class ScheduledDeployment:
    """A deployment as the summary shows it.

    Attributes:
        is_scheduled: Whether it has a schedule that is not paused.
        next_at: Its next scheduled run; None when there is none, or the server has not made it yet.
        last_state: The state its last run ended in; None when none has ended.
        last_run: That run's name, which says what it did.
    """

    id: str
    name: str
    is_scheduled: bool
    next_at: datetime | None
    last_state: str | None
    last_run: str | None


@dataclass(frozen=True)
class Run:
    """A flow run; its name says what it did once it is over, its message why it failed."""

    name: str
    state: str
    message: str
    is_over: bool


@dataclass(frozen=True)
class Progress:
    """A progress artifact: percent from 0 to 100 and what it counts."""

    percent: float
    text: str


@dataclass(frozen=True)
class Variable:
    """A variable of the server: any JSON, and when it was last changed."""

    value: Any
    changed_at: datetime


class PrefectApi:
    """The server at ``api_url``; use as a context manager. Where there is no answer, questions raise `ServerSilent`."""

    def __init__(self, api_url: str, auth: str | None = None, *, patience_seconds: float = ANSWER_SECONDS) -> None:
        """Connect at the first question.

        Args:
            api_url: Its address, as "http://host:4200/api".
            auth: "user:password" of a server that asks for it (PREFECT_SERVER_API_AUTH_STRING).
            patience_seconds: How long one answer may take.
        """
        user, _, password = (auth or "").partition(":")
        login = httpx.BasicAuth(user, password) if auth else None
        self.url = api_url
        self._http = httpx.Client(base_url=api_url, auth=login, timeout=patience_seconds, trust_env=False)

    def __enter__(self) -> PrefectApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def is_healthy(self) -> bool:
        """Return whether the server answers and reaches its database."""
        try:
            return self._http.get("/ready", timeout=HEALTH_SECONDS).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def load_deployments(self, tag: str) -> list[ScheduledDeployment]:
        """Return the deployments with this tag, by name."""
        every = self._ask("/deployments/filter", deployments={"tags": {"all_": [tag]}})
        flows = self._ask("/flows/filter", flows={"id": {"any_": [raw["flow_id"] for raw in every]}})
        names = {flow["id"]: flow["name"] for flow in flows}
        found = [self._describe(raw, names[raw["flow_id"]]) for raw in every]
        return sorted(found, key=lambda deployment: (not deployment.is_scheduled, deployment.name))

    def _describe(self, raw: dict[str, Any], flow: str) -> ScheduledDeployment:
        of_it = {"deployment_id": {"any_": [raw["id"]]}}
        scheduled = {**of_it, "state": {"type": {"any_": ["SCHEDULED"]}}}
        ended = {**of_it, "state": {"type": {"any_": ENDED}}}
        coming = self._ask("/flow_runs/filter", flow_runs=scheduled, sort="NEXT_SCHEDULED_START_TIME_ASC", limit=1)
        last = self._ask("/flow_runs/filter", flow_runs=ended, sort="END_TIME_DESC", limit=1)
        return ScheduledDeployment(
            id=raw["id"],
            name=f"{flow}/{raw['name']}",
            is_scheduled=not raw["paused"] and any(schedule["active"] for schedule in raw["schedules"]),
            next_at=datetime.fromisoformat(coming[0]["next_scheduled_start_time"]) if coming else None,
            last_state=last[0]["state_name"] if last else None,
            last_run=last[0]["name"] if last else None,
        )

    def has_worker(self, pool: str, since: datetime) -> bool:
        """Return whether a worker of the pool has reported itself since then."""
        workers = self._ask(f"/work_pools/{pool}/workers/filter")
        return any(datetime.fromisoformat(worker["last_heartbeat_time"]) > since for worker in workers)

    def find_deployment(self, flow: str, name: str) -> str | None:
        """Return the id of a deployment, or None where there is none of that name."""
        found = self._find(f"/deployments/name/{flow}/{name}")
        return str(found["id"]) if found else None

    def start_run(self, deployment_id: str, **parameters: Any) -> str:
        """Start a run now, as a person would; returns its id. What is not given is as the deployment has it."""
        made = self._ask(f"/deployments/{deployment_id}/create_flow_run", parameters=parameters)
        return str(made["id"])

    def load_variable(self, name: str) -> Variable | None:
        """Return a variable of the server, or None where there is none of that name."""
        found = self._find(f"/variables/name/{name}")
        return Variable(found["value"], datetime.fromisoformat(found["updated"])) if found else None

    def save_variable(self, name: str, value: Any, *tags: str) -> None:
        """Set a variable of the server, whether it is there or not."""
        if self._find(f"/variables/name/{name}") is None:
            self._ask("/variables/", name=name, value=value, tags=tags)
        else:
            self._request("PATCH", f"/variables/name/{name}", json={"value": value})

    def delete_variable(self, name: str) -> None:
        """Remove a variable of the server; one that is gone already is no error."""
        if self._find(f"/variables/name/{name}") is not None:
            self._request("DELETE", f"/variables/name/{name}")

    def emit_event(self, event: str, resource: str) -> None:
        """Tell the server that something happened to a resource; automations may wait for it."""
        told = {"event": event, "resource": {"prefect.resource.id": resource}, "id": str(uuid4())}
        self._request("POST", "/events", json=[told | {"occurred": datetime.now(UTC).isoformat()}])

    def pause_deployment(self, deployment_id: str) -> None:
        """Stop its schedule and forget its scheduled runs; a run that was taken up already goes on."""
        self._ask(f"/deployments/{deployment_id}/pause_deployment")

    def count_running(self, tag: str, *, including_pending: bool = False) -> int:
        """Return how many runs with this tag are running; with the pending ones, whose process is about to start."""
        states = ["RUNNING", "PENDING"] if including_pending else ["RUNNING"]
        running = {"tags": {"all_": [tag]}, "state": {"type": {"any_": states}}}
        return int(self._ask("/flow_runs/count", flow_runs=running))

    def load_suspended(self, tag: str) -> list[tuple[str, str]]:
        """Return the runs with this tag that wait for a person: their flow and name, and their page below the UI."""
        waiting = {"tags": {"all_": [tag]}, "state": {"type": {"any_": ["PAUSED"]}}}
        found = self._ask("/flow_runs/filter", flow_runs=waiting, sort="START_TIME_ASC")
        names = {raw["flow_id"]: self._request("GET", f"/flows/{raw['flow_id']}")["name"] for raw in found}
        return [(f"{names[raw['flow_id']]} {raw['name']}", f"/runs/flow-run/{raw['id']}") for raw in found]

    def load_progress(self, flow_run_id: str) -> Progress | None:
        """Return the newest progress artifact of a run, or None where it has none."""
        artifacts = {"type": {"any_": ["progress"]}, "flow_run_id": {"any_": [flow_run_id]}}
        found = self._ask("/artifacts/filter", artifacts=artifacts, sort="UPDATED_DESC", limit=1)
        return Progress(float(found[0]["data"]), found[0]["description"] or "") if found else None

    def load_run(self, flow_run_id: str) -> Run:
        """Return a run's name and state."""
        run = self._request("GET", f"/flow_runs/{flow_run_id}")
        state = run["state"]
        return Run(
            name=run["name"], state=state["name"], message=state["message"] or "", is_over=state["type"] in ENDED
        )

    def disable_automations(self, tag: str) -> None:
        """Switch every automation off that has this tag."""
        for automation in self._ask("/automations/filter"):
            if tag in automation["tags"]:
                self._request("PATCH", f"/automations/{automation['id']}", json={"enabled": False})

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post a question of the caller's own words and return what the server answers."""
        return self._request("POST", path, json=dict(body))

    def _find(self, path: str) -> Any | None:
        """Return what is there, or None where the server says that nothing is."""
        try:
            return self._request("GET", path)
        except ServerSilent as error:
            if isinstance(error.__cause__, httpx.HTTPStatusError) and error.__cause__.response.status_code == GONE:
                return None
            raise

    def _ask(self, path: str, **body: Any) -> Any:
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **sent: Any) -> Any:
        try:
            answer = self._http.request(method, path, **sent).raise_for_status()
        except httpx.HTTPError as error:
            raise ServerSilent(
                f"The Prefect server at {self._http.base_url} did not answer {path}: {error!r}"
            ) from error
        return answer.json() if answer.content else None
