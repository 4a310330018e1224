"""Asking a person: the run suspends on a form and goes on, from its top, once the form is sent."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TypeVar

from prefect import get_client, runtime
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput

from lib.execution.approval import ApprovalForm

F = TypeVar("F", bound=ApprovalForm)
KEY = "approval"
logger = logging.getLogger("lib.flows")


async def ask(form: type[F], text: str, within: timedelta) -> F:
    """Return the filled form. At the first call of a run, suspend it: its process ends until the form is sent.

    No answer in time is a rejection: the server ends the run as failed, and nothing was sent. A run that
    ended and is retried by hand asks anew. Call it in a flow, not in a task: all before it is run again.

    Args:
        form: Its fields are checked by the server when it is sent, and again here.
        text: What is to be decided on, in Markdown; shown above the form.
        within: How long to wait for an answer.

    Raises:
        ValidationError: A value that only the form's own checks could refuse.
    """
    shown = RunInput.subclass_from_base_model_type(form).with_initial_data(description=text)
    key = await _find_key()
    sent = await asuspend_flow_run(wait_for_input=shown, timeout=int(within.total_seconds()), key=key)
    assert sent is not None
    answer = form.model_validate(sent.model_dump())
    logger.info("%s: %s. %s", answer.approved_by, answer.decision, answer.note)
    return answer


async def _find_key() -> str:
    """Return the key of the form that this run has sent out, or a new one.

    The server forgets the keys when an ended run is retried, but not the old form and its answer.
    """
    async with get_client() as client:
        run = await client.read_flow_run(runtime.flow_run.id)
    asked = [key for key in run.empirical_policy.pause_keys or () if key.startswith(KEY)]
    return asked[0] if asked else f"{KEY}-{run.run_count}"
