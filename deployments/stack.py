"""The parts of a running stack: how each is started, known to be ready, and stopped."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from deployments import environment, home, postgres
from deployments.addresses import LOOPBACK, Addresses, claimed_addresses, usual_addresses
from deployments.databases import Databases, make_embedded, make_external
from deployments.display import Display
from deployments.migrating import bring_up
from deployments.prefect_api import PrefectApi, ServerSilent
from deployments.processes import Child, last_lines
from deployments.specification import DEAD_MANS_SWITCH, POOL, TAG
from lib.errors import EnvironmentRefused, SettingsError
from lib.settings import PROJECT_ROOT, Settings

READY_SECONDS = 120.0
FINISH_SECONDS = 20.0
FKS = (sys.executable, "-m", "deployments")
PREFECT = (sys.executable, "-m", "prefect")
SERVER = "prefect-server"


class StopRequested(Exception):
    """People asked the stack to stop while it was starting."""


@dataclass
class Stack:
    """A stack in one home folder.

    Attributes:
        stopping: Set when people ask it to stop.
        children: Its programs by name, in the order of their start; PostgreSQL is a server of its own.
        postgres_server: The embedded server; None with FKS_DATABASE_URL.
    """

    settings: Settings
    folder: Path
    display: Display
    addresses: Addresses
    stopping: threading.Event
    children: dict[str, Child] = field(default_factory=dict)
    postgres_server: postgres.Server | None = None
    databases: Databases | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def api(self) -> PrefectApi:
        """A new client of the Prefect server."""
        return PrefectApi(self.addresses.api_url, environment.find_login())

    @property
    def environment(self) -> dict[str, str]:
        """What every program of the stack finds in its environment."""
        return environment.base_environment(self.folder, self.addresses)

    def start_child(self, child: Child) -> None:
        """Start a program, and record it for `fks status` and for a start after a kill."""
        child.start()
        self.children[child.name] = child
        self.save_record()

    def save_record(self) -> None:
        """Write down what runs."""
        alive = {name: child.process for name, child in self.children.items() if child.process is not None}
        record = home.StackRecord(
            supervisor=home.ProcessRecord.of(psutil.Process()),
            started_at=self.started_at,
            ui_url=self.addresses.ui_url,
            postgres=self.databases.place if self.databases else "",
            simulator_url=self.addresses.simulator_url,
            children={name: home.ProcessRecord.of(process) for name, process in alive.items() if process.is_running()},
        )
        home.save_record(self.folder, record)

    def wait_for(self, child: Child, is_ready: Callable[[], bool]) -> None:
        """Wait until a program is ready; one that is meant to end is ready when it ended well.

        Raises:
            EnvironmentRefused: It ended or was not ready in time; the message has the end of its log.
            StopRequested: People asked to stop meanwhile.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            if self.stopping.wait(0.2):
                raise StopRequested
            if child.exit_code or time.monotonic() > deadline:
                how = f"ended with code {child.exit_code}" if child.exit_code else "was not ready in time"
                lines = "\n".join(last_lines(child.log))
                raise EnvironmentRefused(f"{child.name} {how}. The end of {child.log}:\n{lines}")


@contextmanager
def running_stack(
    settings: Settings,
    display: Display,
    stopping: threading.Event,
    *,
    project: Path = PROJECT_ROOT,
    simulator_options: Sequence[str] = (),
) -> Iterator[Stack]:
    """Start everything in order, give the stack, and stop everything in the opposite order.

    Args:
        settings: Home, ports, exchange, database.
        display: Where the steps are shown.
        stopping: Set by who wants the stack to stop, also while it starts.
        project: Folder of `prefect.yaml` and of the flows.
        simulator_options: More options of `fks simulator`.

    Raises:
        AlreadyRunning: Another stack holds the home.
        SettingsError: The exchange, an account or a channel cannot be what the settings say; nothing was started.
        EnvironmentRefused: A part cannot start; what was started is stopped again.
        StopRequested: `stopping` was set while it started.
    """
    folder = settings.home.expanduser().absolute()
    with home.locked_home(folder), ExitStack() as stops:
        home.make_folders(folder)
        _check_settings(settings, folder, display, stopping)
        for name in home.end_leftovers(folder):
            display.note(f"Ended {name}, which an earlier, killed stack had left running.")
        stops.callback(home.remove_record, folder)
        addresses = stops.enter_context(claimed_addresses(settings, display.note))
        stack = Stack(settings, folder, display, addresses, stopping)
        _start_database(stack, stops)
        if stack.addresses.simulator_port is not None:
            _start_simulator(stack, stops, simulator_options)
        _start_server(stack, stops)
        stops.callback(_switch_dead_man_off, stack)
        _apply(stack, project)
        _start_worker(stack, stops)
        yield stack


def _check_settings(settings: Settings, folder: Path, display: Display, stopping: threading.Event) -> None:
    """Refuse settings that no run could work with, while what a killed stack left still watches.

    In a process of its own: building the clients imports ccxt, a hundred megabytes that the supervisor never needs.
    """
    log = folder / "logs" / "check.log"
    log.unlink(missing_ok=True)
    env = environment.base_environment(folder, usual_addresses(settings)) | {"COLUMNS": "1000"}
    child = Child("fks check", [*FKS, "check"], env, log)
    with display.step("Settings: exchange, accounts, channels"):
        child.start()
        try:
            while child.exit_code is None:
                if stopping.wait(0.1):
                    raise StopRequested
            if child.exit_code:
                raise SettingsError("\n".join(last_lines(log)).removeprefix("✗ "))
        finally:
            child.stop(1)


def _start_database(stack: Stack, stops: ExitStack) -> None:
    with stack.display.step("PostgreSQL") as step:
        if stack.settings.database_url is not None:
            stack.databases = make_external(stack.settings.database_url.get_secret_value())
        else:
            stack.postgres_server = postgres.start(stack.folder / "postgres")
            stops.callback(_stop_database, stack)
            stack.databases = make_embedded(stack.postgres_server)
        adopted = stack.postgres_server is not None and stack.postgres_server.adopted
        step.detail = f"{stack.databases.place}{', was running already' if adopted else ''}"


def _stop_database(stack: Stack) -> None:
    with stack.display.step("Stop PostgreSQL"):
        postgres.stop(stack.folder / "postgres")


def _start_simulator(stack: Stack, stops: ExitStack, options: Sequence[str]) -> None:
    with stack.display.step("Exchange simulator") as step:
        command = [*FKS, "simulator", "--port", str(stack.addresses.simulator_port)]
        command += ["--state", str(stack.folder / "simulator"), *options]
        child = Child("simulator", command, stack.environment, stack.folder / "logs" / "simulator.log")
        _start(stack, stops, child, lambda: _answers(f"{stack.addresses.simulator_url}/api/v3/ping"))
        step.detail = stack.addresses.simulator_url or ""


def _start_server(stack: Stack, stops: ExitStack) -> None:
    assert stack.databases is not None
    with stack.display.step("Database tables and Prefect server") as step, stack.api as api:
        command = [*PREFECT, "server", "start", "--host", LOOPBACK, "--port", str(stack.addresses.prefect_port)]
        env = environment.server_environment(stack.environment, stack.databases.prefect_url)
        child = Child(SERVER, command, env, stack.folder / "logs" / "prefect-server.log")
        stops.callback(_stop, stack, child)
        stack.start_child(child)
        bring_up(stack.settings, stack.databases.url)
        stack.wait_for(child, api.is_healthy)
        step.detail = stack.addresses.ui_url


def _apply(stack: Stack, project: Path) -> None:
    assert stack.databases is not None
    with stack.display.step("Work pool, queues, blocks, automations, deployments") as step:
        env = stack.environment | {"FKS_DATABASE_URL": stack.databases.url}
        log = stack.folder / "logs" / "apply.log"
        log.unlink(missing_ok=True)
        child = Child("fks apply", [*FKS, "apply", "--settle", "--project", str(project)], env, log)
        child.start()
        try:
            stack.wait_for(child, lambda: child.exit_code == 0)
        finally:
            child.stop(1)
        step.detail = " ".join(last_lines(log, 1))


def _switch_dead_man_off(stack: Stack) -> None:
    """Keep the dead man's switches from calling people at the next start because of a stop that people asked for.

    Whatever else ends the stack leaves them on: who starts the server again is told that chains are missing.
    """
    if not stack.stopping.is_set():
        return
    try:
        with stack.api as api:
            api.disable_automations(DEAD_MANS_SWITCH)
    except ServerSilent:
        stack.display.warn("The Prefect server does not answer; the next start may report that chains have stopped.")


def _start_worker(stack: Stack, stops: ExitStack) -> None:
    with stack.display.step("Worker") as step, stack.api as api:
        command = [*PREFECT, "worker", "start", "--pool", POOL, "--type", "process", "--name", "fks-local"]
        env = environment.worker_environment(stack.environment)
        child = Child("worker", command, env, stack.folder / "logs" / "worker.log")
        began_at = datetime.now(UTC)
        _start(stack, stops, child, lambda: api.has_worker(POOL, began_at))
        stops.callback(_let_runs_finish, stack)
        step.detail = f"pool {POOL}"


def _let_runs_finish(stack: Stack) -> None:
    """Wait a while for what runs: a worker that is stopped kills its runs."""
    deadline = time.monotonic() + FINISH_SECONDS
    with stack.display.step("Let running flows finish") as step, stack.api as api:
        try:
            while (running := api.count_running(TAG)) and time.monotonic() < deadline:
                time.sleep(0.5)
        except ServerSilent:
            step.detail = "the Prefect server does not answer"
        else:
            step.detail = f"{running} are cut off; their next run carries on" if running else "none is running"


def _start(stack: Stack, stops: ExitStack, child: Child, is_ready: Callable[[], bool]) -> None:
    stops.callback(_stop, stack, child)
    stack.start_child(child)
    stack.wait_for(child, is_ready)


def _stop(stack: Stack, child: Child) -> None:
    with stack.display.step(f"Stop {child.name}"):
        child.stop()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
