"""Whether the Prefect server of the present environment can carry the platform: it answers, lets us in, and fits."""

from __future__ import annotations

import httpx
from packaging.version import Version
from prefect.client.base import ServerType
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from lib.errors import EnvironmentRefused, OperatorError, SettingsError

REFUSED = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


async def check_server() -> None:
    """Ask the server who it is.

    Raises:
        SettingsError: It refuses the login or key, or there is no Prefect API at PREFECT_API_URL.
        EnvironmentRefused: It does not answer, or its version does not fit.
    """
    url = get_current_settings().api.url
    try:
        async with get_client() as client:
            await _ask(client)
    except OperatorError:
        raise
    except (RuntimeError, ValueError, httpx.HTTPError) as error:  # Prefect wraps what happened in a RuntimeError
        raise _explain(error if isinstance(error, httpx.HTTPError) else error.__cause__ or error, str(url)) from error


async def _ask(client: PrefectClient) -> None:
    await client.read_work_pools(limit=1)  # asks for the login
    if client.server_type is not ServerType.CLOUD:  # Prefect Cloud serves every client
        check_version(Version(await client.api_version()), Version(client.client_version()))


def check_version(server: Version, ours: Version) -> None:
    """Refuse a server that is older than its clients, or of another major version.

    Raises:
        EnvironmentRefused: With the version to install there.
    """
    if server.major != ours.major or server < ours:
        raise EnvironmentRefused(
            f"The Prefect server is version {server}; flows and workers here use {ours}, which needs a server of the "
            f"same or a newer {ours.major}.x. Install prefect {ours} there (it migrates its database when it starts)."
        )


def _explain(error: BaseException, url: str) -> OperatorError:
    if isinstance(error, httpx.HTTPStatusError | PrefectHTTPStatusError) and error.response.status_code in REFUSED:
        return SettingsError(
            f"The Prefect server at {url} refuses us ({error.response.status_code}). Set PREFECT_API_AUTH_STRING to "
            "the user:password of its PREFECT_SERVER_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud."
        )
    if isinstance(error, httpx.TransportError):
        return EnvironmentRefused(
            f"The Prefect server at {url} does not answer ({error!r}). Start it, mend PREFECT_API_URL, or, for a "
            "certificate of your own, name it in PREFECT_API_SSL_CERT_FILE."
        )
    return SettingsError(
        f"There is no Prefect API at {url} ({type(error).__name__}). PREFECT_API_URL ends in /api, as "
        "http://host:4200/api; Prefect Cloud's names account and workspace."
    )
