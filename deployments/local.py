"""`fks up`: start the stack, say what runs, watch it until somebody stops it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deployments.alerts import choose_channels, send_alert
from deployments.display import Display, render_deployments, render_facts
from deployments.first_run import FirstRun
from deployments.specification import TAG
from deployments.stack import Stack, StopRequested, running_stack
from deployments.watch import Watch
from lib.notifications.messages import Severity
from lib.settings import PROJECT_ROOT, Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(settings: Settings, display: Display, project: Path = PROJECT_ROOT) -> None:
    """Run the stack in the foreground until a signal asks it to stop.

    Args:
        settings: Home, ports, exchange, database, channels.
        display: Where it shows what it does.
        project: Folder of `prefect.yaml` and of the flows.

    Raises:
        AlreadyRunning: Another one runs in this home.
        EnvironmentRefused: It cannot start, or a program crashed too often; the message has the reason.
    """
    try:
        with stop_on_signals() as stopping, running_stack(settings, display, stopping, project=project) as stack:
            show_summary(stack)
            _watch(stack)
    except StopRequested:
        display.note("Stopped while starting.")


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set.

    Programs started meanwhile get the signals' default handling, even when ours were ignored (a background job).
    """
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(stack: Stack) -> None:
    with stack.api as api:
        watch, first_run = Watch(stack), FirstRun(api, stack.display)
        first_run.start()
        try:
            while not stack.stopping.wait(1):
                watch.look()
                first_run.follow()
        except Exception as error:
            tell_people(stack, str(error))  # whatever it is: with the stack its own alarms stop
            raise
        finally:
            first_run.stop()


def tell_people(stack: Stack, reason: str) -> None:
    """Tell the operator's channels that the stack stops: its own alarms stop with it."""
    channels = stack.settings.channels
    for name in choose_channels(channels, Severity.URGENT):
        refused = send_alert(channels[name].url.get_secret_value(), "🛑 The FKS stack stops", reason)
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
