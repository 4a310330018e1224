"""`fks up`: start the stack, say what runs, watch it until somebody stops it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deployments.alerts import choose_channels, send_alert
from deployments.display import Display, render_deployments, render_facts
from deployments.first_run import FirstRun
from deployments.specification import TAG
from deployments.stack import Stack, StopRequested, running_stack
from deployments.warming import Warming
from deployments.watch import Watch
from lib.notifications.messages import Severity
from lib.settings import PROJECT_ROOT, Settings

UNWATCHED = "Nothing watches stop losses, and nobody is alerted, until the next `fks up`."
RESTART = "run `fks up` there; until then watch your positions on the exchange."
# Ctrl-C and `fks stop` come from a person who sees what happens; these come from elsewhere, so people are told.
SIGNS = {
    signal.SIGINT: "",
    signal.SIGTERM: "It was asked to end (SIGTERM), as when its machine shuts down.",
    signal.SIGHUP: "Its terminal was closed (SIGHUP).",
}


class Stop(threading.Event):
    """The request to stop.

    Attributes:
        reason: Why, where nobody may have seen it.
    """

    reason = ""

    def ask(self, number: signal.Signals) -> None:
        """Set it because of a signal; the first one is the reason."""
        if not self.is_set():
            self.reason = SIGNS[number]
        self.set()


def up(settings: Settings, display: Display, project: Path = PROJECT_ROOT) -> None:
    """Run the stack in the foreground until a signal asks it to stop.

    Args:
        settings: Home, ports, exchange, database, channels.
        display: Where it shows what it does.
        project: Folder of `prefect.yaml` and of the flows.

    Raises:
        AlreadyRunning: Another one runs in this home.
        SettingsError: A setting is wrong; nothing was started.
        EnvironmentRefused: It cannot start, or a program crashed too often; the message has the reason.
    """
    try:
        with stop_on_signals() as stopping, running_stack(settings, display, stopping, project=project) as stack:
            with _telling_people(stack):
                show_summary(stack)
                _watch(stack)
            if stopping.reason:
                tell_people(stack, stopping.reason)
    except StopRequested:
        display.note("Stopped while starting.")
    display.warn(UNWATCHED)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set.

    Programs started meanwhile get the signals' default handling, even when ours were ignored (a background job).
    """
    stopping = Stop()
    terminals = [stream for stream in (1, 2) if os.isatty(stream)]

    def ask(number: int, _: object) -> None:
        if number == signal.SIGHUP:
            _leave(terminals)
        stopping.ask(signal.Signals(number))

    before = {number: signal.signal(number, ask) for number in SIGNS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(terminals: Sequence[int]) -> None:
    """Write to nowhere from now on: writing to a terminal that is gone fails, in the middle of stopping."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in terminals:
        os.dup2(nowhere, stream)
    os.close(nowhere)


@contextmanager
def _telling_people(stack: Stack) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        tell_people(stack, str(error))  # whatever it is: with the stack its own alarms stop
        raise


def _watch(stack: Stack) -> None:
    with stack.api as api:
        watch, first_run, warming = Watch(stack), FirstRun(api, stack.display), Warming(stack)
        first_run.start()
        warming.start()
        try:
            while not stack.stopping.wait(1):
                watch.look()
                first_run.follow()
                warming.follow()
        finally:
            first_run.stop()
            warming.stop()


def tell_people(stack: Stack, reason: str) -> None:
    """Tell the operator's channels that the stack stops: its own alarms stop with it."""
    channels = stack.settings.channels
    for name in choose_channels(channels, Severity.URGENT):
        text = f"{reason}\n{UNWATCHED}\nWhat to do: {RESTART}"
        refused = send_alert(channels[name].url.get_secret_value(), "⚠️ The FKS stack stops", text)
        stack.display.note(f"{name} was told." if refused is None else f"{name} could not be told: {refused}")


def show_summary(stack: Stack) -> None:
    """Show addresses, accounts, deployments with their next runs, and how to stop."""
    settings, display = stack.settings, stack.display
    told = choose_channels(settings.channels, Severity.URGENT)
    facts = [
        ("Prefect UI", stack.addresses.ui_url),
        ("Prefect API", stack.addresses.api_url),
        ("PostgreSQL", stack.databases.place if stack.databases else ""),
        ("Exchange", f"{settings.exchange} {stack.addresses.simulator_url or ''}".strip()),
        ("Accounts", ", ".join(f"{name} ({account.kind})" for name, account in settings.effective_accounts.items())),
        (
            "Alerts",
            ", ".join(told) or "nobody is told: set FKS_CHANNELS__<NAME>__URL; until then see each run's artifact",
        ),
        ("Data, logs", f"{stack.folder}, {stack.folder / 'logs'}"),
        ("Stop", "Ctrl-C here, or `fks stop`; what is stored stays"),
    ]
    display.console.print()
    with stack.api as api:
        display.console.print(render_deployments(api.load_deployments(TAG), datetime.now(UTC)))
    display.console.print()
    display.console.print(render_facts(facts))
    display.console.print()
