"""What each program of the stack finds in its environment. No secret is on a command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dotenv import dotenv_values

from deployments.addresses import Addresses
from lib.settings import find_env_file

# How long the Prefect server keeps what: ended runs with their logs and artifacts, events, and the heartbeats among
# these, of which a run sends one every half minute.
HISTORY_DAYS = 30
EVENT_DAYS = 7
HEARTBEAT_EVENT_DAYS = 1
HEARTBEAT_SECONDS = 30  # of a flow run; Prefect's minimum
# Not handed down: byte code must be written once and not compiled again by every run, and the stack has a Prefect
# server and profile of its own.
NOT_INHERITED = {"PYTHONDONTWRITEBYTECODE", "PREFECT_PROFILE", "PREFECT_API_KEY", "PREFECT_PROFILES_PATH"}


def adopt_prefect_variables() -> None:
    """Take `PREFECT_…` lines of the file that has our settings into this process's environment, which wins.

    So one file that only we may read holds every secret, the Prefect server's login among them.
    """
    file = find_env_file()
    for name, value in (dotenv_values(file) if file else {}).items():
        if name.startswith("PREFECT_") and value:
            os.environ.setdefault(name, value)


def find_login() -> str | None:
    """Return "user:password" for a Prefect server that asks for it; also of one that this machine starts."""
    return os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get("PREFECT_SERVER_API_AUTH_STRING")


def base_environment(home: Path, addresses: Addresses) -> dict[str, str]:
    """Return what every program of the stack shares."""
    exchange = {"FKS_EXCHANGE_URL": addresses.simulator_url} if addresses.simulator_url else {}
    return shared_environment(home, addresses.api_url) | exchange


def shared_environment(home: Path, api_url: str) -> dict[str, str]:
    """Return what every program finds that talks to the Prefect server at `api_url`."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    login = {"PREFECT_API_AUTH_STRING": auth} if (auth := find_login()) else {}
    ours = {
        "FKS_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "TMPDIR": str(home / "tmp"),  # Prefect's runner makes /tmp/runner_storage, which then is closed to other users
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_COLORS": "false",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return inherited | ours | login


def server_environment(base: dict[str, str], database_url: str) -> dict[str, str]:
    """Return the Prefect server's: its own database, and a bound on its history.

    The UI is a program in people's browsers: behind a reverse proxy it asks the address that they use, PREFECT_UI_URL.
    """
    seen = f"{base['PREFECT_UI_URL'].rstrip('/')}/api" if base.get("PREFECT_UI_URL") else base["PREFECT_API_URL"]
    return base | {
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_SERVER_UI_API_URL": seen,
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": f"{base['PREFECT_HOME']}/ui",  # else beside its code, which may be root's
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(HISTORY_DAYS * 86400),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{EVENT_DAYS}D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": json.dumps(
            {"prefect.flow-run.heartbeat": HEARTBEAT_EVENT_DAYS * 86400}
        ),
    }


def worker_environment(base: dict[str, str]) -> dict[str, str]:
    """Return the worker's, which its flow runs inherit."""
    return base | {
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "lib",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",  # Prefect never removes the files of results
    }
