"""What the Prefect server tells of the platform's health: asked through its client, which knows how to log in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectException

from lib.adapters import orchestrator
from lib.errors import RetryableError
from lib.health.figures import ServerFigures

WINDOW = timedelta(hours=24)


def read_server(at: datetime) -> ServerFigures:
    """Return what ended in the 24 hours up to an instant, and the pool now; blocks, so call it in a thread.

    Raises:
        RetryableError: The server does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            return orchestrator.load_figures(lambda path, body: _ask(client, path, body), at, WINDOW)
    except (httpx.HTTPError, PrefectException) as error:
        raise RetryableError(f"The Prefect server did not answer: {type(error).__name__}: {error}") from error


def _ask(client: SyncPrefectClient, path: str, body: Mapping[str, Any]) -> Any:
    return client._client.post(path, json=dict(body)).json()  # its own methods keep fields back that we need
