"""An urgent message whose channel is silent reaches the next one by a real worker, with no chain in between."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from prefect.client.orchestration import get_client

from deployments.apply import ensure_pool
from flows.follow_up import DEPLOYMENT
from flows.on_demand import send_notification
from lib.notifications.messages import MessageType
from lib.settings import PROJECT_ROOT
from tests.platforms import World, flow_environment
from tests.prefect_servers import PREFECT, PrefectServer, wait_until
from tests.webhooks import WebhookServer, run_webhooks

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@pytest.fixture
def deployed(prefect_world: World, prefect_server: PrefectServer) -> Iterator[None]:
    """The deployment of `prefect.yaml`."""
    asyncio.run(make_pool())
    command = [*PREFECT, "--no-prompt", "deploy", "-n", DEPLOYMENT]
    done = subprocess.run(
        command, env=prefect_server.env, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = httpx.get(f"{prefect_server.ui_url}/api/deployments/name/{DEPLOYMENT}").raise_for_status().json()
    yield
    httpx.delete(f"{prefect_server.ui_url}/api/deployments/{made['id']}").raise_for_status()


async def make_pool() -> None:
    async with get_client() as client:
        await ensure_pool(client)


async def say_urgently(message: str) -> None:
    await send_notification(MessageType.STOP_LOSS, message, urgent=True, return_state=True)


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    """The second channel, which did not subscribe to stop losses."""
    with run_webhooks() as server:
        monkeypatch.setenv("FKS_CHANNELS__PHONE__URL", server.url)
        monkeypatch.setenv("FKS_CHANNELS__PHONE__TYPES", json.dumps(["risk"]))
        monkeypatch.setenv("FKS_CHANNELS__PHONE__ORDER", "1")
        yield server


@pytest.mark.usefixtures("deployed")
def test_it_goes_on_after_its_time_and_arrives_once(
    prefect_world: World, prefect_server: PrefectServer, phone: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FKS_ESCALATION_SECONDS", "10")
    prefect_world.webhooks.answer_next(429, headers={"Retry-After": "3600"})
    asyncio.run(say_urgently("Sell SOL now"))
    assert phone.contents == []

    with prefect_server.worker("between-chains", flow_environment(prefect_server)) as worker:
        wait_until(f"the phone rings; see {worker.log}", lambda: phone.contents, 90)

    assert ["Sell SOL now" in content for content in phone.contents] == [True]
    assert prefect_world.webhooks.requests == 1
