"""A platform of several machines: its Prefect server, and workers. Each program takes the place of this process.

Beside them stand a PostgreSQL server (FKS_DATABASE_URL) and `fks apply`, which makes tables, pool and deployments.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

import psutil

from deployments import environment
from deployments.addresses import Addresses
from deployments.databases import make_external
from deployments.home import make_folders
from deployments.specification import POOL
from deployments.warming import LAST_IN_LINE, WARM
from lib.errors import SettingsError
from lib.settings import Settings

PREFECT = (sys.executable, "-m", "prefect")
LEAST_PASSWORD = 12


def serve(settings: Settings, home: Path, host: str) -> NoReturn:
    """Become the Prefect server, on the database beside ours, at FKS_PREFECT_PORT.

    Args:
        settings: For database and port.
        home: Folder of what it writes beside the database.
        host: The address it listens on.

    Raises:
        SettingsError: No database; or it would be open to other machines without a login.
        DatabaseUnavailable: The database server refuses the connection.
        EnvironmentRefused: The database user may not make the server's database.
    """
    if settings.database_url is None:
        raise SettingsError("FKS_DATABASE_URL is not set. The Prefect server keeps its data in a database beside it.")
    login = _check_login(host)
    databases = make_external(settings.database_url.get_secret_value())
    base = environment.base_environment(make_folders(home), Addresses(settings.prefect_port, None))
    env = environment.server_environment(base, databases.prefect_url)
    env |= {"PREFECT_SERVER_API_AUTH_STRING": login} if login else {}
    _become([*PREFECT, "server", "start", "--host", host, "--port", str(settings.prefect_port)], env)


def _check_login(host: str) -> str | None:
    login = environment.find_login()
    _, _, password = (login or "").partition(":")
    if login is not None and len(password) < LEAST_PASSWORD:
        raise SettingsError(
            "Expected user:password in PREFECT_SERVER_API_AUTH_STRING, with a password of at least "
            f"{LEAST_PASSWORD} characters. `openssl rand -hex 24` makes one."
        )
    if login is None and not _is_loopback(host):
        raise SettingsError(
            f"On {host} everybody who reaches this machine could trade by the Prefect API. Set "
            "PREFECT_SERVER_API_AUTH_STRING to user:password, here and as PREFECT_API_AUTH_STRING where workers and "
            "`fks` run; or listen on 127.0.0.1."
        )
    return login


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def work(home: Path, name: str | None, health_port: int, *, warm: bool) -> NoReturn:
    """Become a worker of the pool: one that takes runs, each a process of this machine.

    Indicators and backtests are compiled meanwhile, with the lowest priority; what is compiled already is only read.

    Args:
        home: Folder of what runs write: reports, Prefect's own.
        name: In the UI; one of this machine's name when not given.
        health_port: Where it says by HTTP whether it polls; 0 for nowhere.
        warm: Whether indicators and backtests are compiled meanwhile, with the lowest priority.

    Raises:
        SettingsError: PREFECT_API_URL is not set.
    """
    api_url = os.environ.get("PREFECT_API_URL")
    if not api_url:
        raise SettingsError("PREFECT_API_URL is not set. Give the Prefect server's address, as http://host:4200/api.")
    env = environment.worker_environment(environment.shared_environment(make_folders(home), api_url))
    env |= {"PREFECT_API_KEY": key} if (key := os.environ.get("PREFECT_API_KEY")) else {}
    env |= {"PREFECT_WORKER_WEBSERVER_HOST": "0.0.0.0", "PREFECT_WORKER_WEBSERVER_PORT": str(health_port)}  # noqa: S104 - it only says whether the worker polls, and a cluster asks from outside
    if warm:
        psutil.Popen(WARM, env=env).nice(LAST_IN_LINE)
    name = name or f"fks-{socket.gethostname()}"
    health = ["--with-healthcheck"] if health_port else []
    # A pool that a worker made by itself would be without our queues; `fks apply` makes it.
    _become(
        [*PREFECT, "worker", "start", "--pool", POOL, "--name", name, "--no-create-pool-if-not-found", *health], env
    )


def _become(command: list[str], env: dict[str, str]) -> NoReturn:
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # ignored in a script's background, where Prefect's SIGTERM ends nothing
    sys.stdout.flush()
    os.execve(command[0], command, env)  # noqa: S606 - the command is ours
