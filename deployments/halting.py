"""`fks halt` and `fks release`: the switch that stops every order, set on the Prefect server that every run asks."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from deployments import home
from deployments.display import Display
from deployments.environment import find_login
from deployments.prefect_api import PrefectApi, ServerSilent
from deployments.specification import TAG
from lib.errors import OperatorError, SettingsError
from lib.execution.halt import FREE_EVENT, HALTED_EVENT, SWITCH, VARIABLE, Halt, parse_halt
from lib.notifications.cleaning import clean_text

MESSENGER = ("send-notification", "manual")
LONGEST_REASON = 500


def halt(folder: Path, reason: str, who: str | None, display: Display) -> None:
    """Stop every order from now on, and tell people.

    The switch is set before anybody is told: it holds from the next order on. People are told by a run of
    `send-notification` on that server, so the command needs neither the database nor the channels.

    Args:
        folder: Home of the stack.
        reason: Why; people and every refused order read it.
        who: Who says so; the user of this machine when not given.
        display: Where it says what was done.

    Raises:
        OperatorError: No reason, or there is no server to ask.
        ServerSilent: It does not answer; nothing was set.
    """
    words = " ".join(clean_text(reason).split())[:LONGEST_REASON]
    if not words:
        raise OperatorError('Expected a reason, was an empty one. Say why: fks halt "prices look wrong".')
    with _open_server(folder) as api:
        before = load_halt(api)
        if before and before.reason == words:
            display.note(f"Trading is halted already: {before.describe()}")
            return
        now = Halt(words, who or find_user(), datetime.now(UTC))
        api.save_variable(VARIABLE, now.to_value(), TAG)
        api.emit_event(HALTED_EVENT, SWITCH)
        display.note(f"Trading is halted on {api.url}: no order is sent until `fks release`.")
        if before:
            display.note(f"It was halted before: {before.describe()}")
        _tell(api, display, write_halted(now), urgent=True)
    display.note("Orders that rest on the exchange stay there; `fks status` lists them.")


def release(folder: Path, who: str | None, display: Display) -> None:
    """Let orders be sent again, and tell people. Raises as `halt`; the switch is as it was then."""
    with _open_server(folder) as api:
        before = load_halt(api)
        api.delete_variable(VARIABLE)  # also one that halts nothing
        api.emit_event(FREE_EVENT, SWITCH)
        if before is None:
            display.note(f"Trading was not halted on {api.url}.")
            return
        display.note(f"Orders are sent again on {api.url}. It was halted: {before.describe()}")
        _tell(api, display, write_released(before, who or find_user(), datetime.now(UTC)), urgent=False)


def load_halt(api: PrefectApi) -> Halt | None:
    """Return the trading halt that the server knows, or None. Raises `ServerSilent`."""
    variable = api.load_variable(VARIABLE)
    return parse_halt(variable.value, variable.changed_at) if variable else None


def write_halted(now: Halt) -> str:
    """Return what people are told; the first line becomes the title."""
    return (
        f"Trading is HALTED: {now.reason}\n"
        f"Since {now.at:%Y-%m-%d %H:%M:%S} UTC, by {now.who}. No order of FKS is sent, not by stop losses either; "
        "alerts go on. Orders that rest on the exchange stay there.\n"
        "What to do: what must be sold now, sell on the exchange by hand. `fks release` lets orders be sent again."
    )


def write_released(before: Halt, who: str, at: datetime) -> str:
    """Return what people are told; the first line becomes the title."""
    return (
        f"Trading is released\nOrders are sent again since {at:%Y-%m-%d %H:%M:%S} UTC, released by {who}. "
        f"It was halted: {before.describe()}\n"
        "What to do: start again what was refused meanwhile, if it is still wanted."
    )


@contextmanager
def _open_server(folder: Path) -> Iterator[PrefectApi]:
    try:
        with PrefectApi(find_server(folder), find_login()) as api:
            yield api
    except ServerSilent as error:
        raise ServerSilent(
            f"{error} While it does not answer no order is sent either: each asks it first whether trading is halted. "
            "Start it (`fks up`), then say this again."
        ) from error


def find_server(folder: Path) -> str:
    """Return the API of the stack that runs in this home, or else the one that PREFECT_API_URL names.

    Raises:
        SettingsError: There is neither.
    """
    record = home.load_record(folder)
    if record is not None and any(process.find() for process in record.children.values()):
        return f"{record.ui_url}/api"
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    raise SettingsError(
        f"Nothing runs in {folder}, and PREFECT_API_URL is not set. Set FKS_HOME to the stack's home folder, or "
        "PREFECT_API_URL to its server, as http://host:4200/api."
    )


def _tell(api: PrefectApi, display: Display, message: str, *, urgent: bool) -> None:
    deployment = api.find_deployment(*MESSENGER)
    if deployment is None:
        display.warn(f"Nobody was told: the server has no {'/'.join(MESSENGER)}. `fks apply` deploys it.")
        return
    api.start_run(deployment, type="operations", message=message, urgent=urgent)
    display.note("People are told by a run of send-notification.")


def find_user() -> str:
    """Return who gives a command: the user of this machine and its name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
