"""The approval form: a run waits for it without a process, and goes on with what a person answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Crashed, Scheduled

from flows import approval
from lib.allocation.stores import Decision
from lib.execution.approval import ApprovalForm
from tests.platforms import World
from tests.runs import execute, read_run

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


@flow(name="asks")
async def asks(seconds: float = 3600) -> str:
    answer = await approval.ask(ApprovalForm, "Buy **1 BTC**?", timedelta(seconds=seconds))
    return f"{answer.decision} by {answer.approved_by}, {answer.max_slippage_pct}"


@pytest.fixture
async def run(prefect_world: World) -> AsyncIterator[FlowRun]:
    async with get_client() as client:
        deployment = await client.create_deployment(await client.create_flow(asks), f"test-{uuid4().hex}")
        yield await client.create_flow_run_from_deployment(deployment)
        await client.delete_deployment(deployment)


async def answer(run: FlowRun, **values: Any) -> Any:
    async with get_client() as client:
        return await client.resume_flow_run(run.id, run_input=values)


async def read_texts(run: FlowRun) -> list[str]:
    """What stands above each form of a run."""
    async with get_client() as client:
        inputs = await client.filter_flow_run_input(run.id, key_prefix="suspended-", limit=100, exclude_keys=set())
    return [str(one.value) for one in inputs if one.key.endswith("-description")]


async def test_a_run_waits_for_the_form_and_goes_on_with_the_answer(run: FlowRun) -> None:
    assert (await execute(asks, run)).name == "Suspended"
    refused = await answer(run, approved_by="Ada")
    assert refused.status is SetStateStatus.REJECT and "decision" in refused.details.reason
    refused = await answer(run, approved_by="Ada", decision="perhaps")
    assert refused.status is SetStateStatus.REJECT

    for asked in (2, 3):  # times, as often as it takes
        await answer(run, approved_by="  ", decision="approved")  # which only the form itself can refuse
        assert (await execute(asks, await read_run(run.id))).name == "Suspended"
        texts = await read_texts(run)
        again = [text for text in texts if "**The last answer cannot be used:**" in text and "approved_by" in text]
        assert (len(texts), len(again)) == (asked, asked - 1) and all("Buy **1 BTC**?" in text for text in texts)

    taken = await answer(run, approved_by="Ada", decision="approved", max_slippage_pct=0.5)
    assert taken.status is SetStateStatus.ACCEPT
    state = await execute(asks, await read_run(run.id))
    assert await state.aresult() == f"{Decision.APPROVED} by Ada, 0.5"


async def test_no_answer_in_time_is_a_rejection_that_cannot_be_undone(run: FlowRun) -> None:
    async with get_client() as client:
        await client.update_flow_run(run.id, parameters={"seconds": 0})
    await execute(asks, await read_run(run.id))

    late = await answer(run, approved_by="Ada", decision="approved")

    assert late.status is SetStateStatus.REJECT
    assert (await read_run(run.id)).state_name == "Failed"


async def test_a_run_that_died_after_the_answer_asks_anew_when_it_is_retried(run: FlowRun) -> None:
    await execute(asks, run)
    await answer(run, approved_by="Ada", decision="approved")
    async with get_client() as client:
        await client.set_flow_run_state(run.id, Crashed(), force=True)
        await client.set_flow_run_state(run.id, Scheduled())

    assert (await execute(asks, await read_run(run.id))).name == "Suspended"
    await answer(run, approved_by="Bob", decision="rejected")
    state = await execute(asks, await read_run(run.id))
    assert await state.aresult() == "rejected by Bob, None"
