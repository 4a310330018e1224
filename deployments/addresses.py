"""Where the parts of one stack listen: always on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lib.errors import EnvironmentRefused
from lib.settings import SIMULATOR, Settings

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """Where the parts of one stack listen."""

    prefect_port: int
    simulator_port: int | None

    @property
    def ui_url(self) -> str:
        """Where people look."""
        return f"http://{LOOPBACK}:{self.prefect_port}"

    @property
    def api_url(self) -> str:
        """Where programs ask."""
        return f"{self.ui_url}/api"

    @property
    def simulator_url(self) -> str | None:
        """The simulated exchange, if there is one."""
        return None if self.simulator_port is None else f"http://{LOOPBACK}:{self.simulator_port}"


def usual_addresses(settings: Settings) -> Addresses:
    """Return the ports of the settings, whoever has them now."""
    return Addresses(settings.prefect_port, settings.simulator_port if settings.exchange == SIMULATOR else None)


@contextmanager
def claimed_addresses(settings: Settings, note: Callable[[str], None]) -> Iterator[Addresses]:
    """Choose the ports: those of the settings, or where nobody asked for them and they are taken, the next free ones.

    While this lasts no other start on this machine chooses them, also before our programs listen there.

    Args:
        settings: Ports, and whether there is a simulator.
        note: Told when a port is not the usual one.

    Raises:
        EnvironmentRefused: A port that was asked for is taken.
    """
    with ExitStack() as claims:
        simulator = _choose_port(settings, "simulator_port", note, claims) if settings.exchange == SIMULATOR else None
        yield Addresses(_choose_port(settings, "prefect_port", note, claims), simulator)


def _choose_port(settings: Settings, name: str, note: Callable[[str], None], claims: ExitStack) -> int:
    wanted: int = getattr(settings, name)
    if _claim(wanted, claims):
        return wanted
    variable = f"FKS_{name.upper()}"
    if name in settings.model_fields_set:
        raise EnvironmentRefused(f"Port {wanted} ({variable}) is taken. Stop what uses it, or set another port.")
    free = next((port for port in range(wanted + 1, wanted + 80) if _claim(port, claims)), None)
    if free is None:
        raise EnvironmentRefused(f"Ports {wanted} to {wanted + 79} are all taken. Set {variable} to a free one.")
    note(f"Port {wanted} is taken; using {free} instead. {variable} sets another.")
    return free


def _claim(port: int, claims: ExitStack) -> bool:
    """Claim a port that nobody listens on.

    The claim is the UDP port of the same number, which our programs do not use: it belongs to one process at a time,
    and the system frees it however that one ends.
    """
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return False
    if not _is_free(port):
        claim.close()
        return False
    claims.enter_context(claim)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
