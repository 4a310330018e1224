"""Asking a person: the run suspends on a form and goes on, from its top, once the form is sent."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TypeVar

from prefect import get_client, runtime
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from pydantic import ValidationError

from lib.execution.approval import ApprovalForm

F = TypeVar("F", bound=ApprovalForm)
# A form's key: the run's count, which rises when an ended run is retried (the server then forgets the keys, but neither
# the old form nor its answer), and the form's number within it.
KEY = "approval"
logger = logging.getLogger("lib.flows")


async def ask(form: type[F], text: str, within: timedelta) -> F:
    """Return the filled form. At the first call of a run, suspend it: its process ends until the form is sent.

    No answer in time is a rejection: the server ends the run as failed, and nothing was sent. A run that
    ended and is retried by hand asks anew. Call it in a flow, not in a task: all before it is run again.

    Args:
        form: Its fields are checked by the server when it is sent, and again here; what only the form itself can
            refuse is asked once more.
        text: What is to be decided on, in Markdown; shown above the form.
        within: How long to wait for an answer.
    """
    async with get_client() as client:
        run = await client.read_flow_run(runtime.flow_run.id)
    asked = [key for key in run.empirical_policy.pause_keys or () if key.startswith(f"{KEY}-")]
    next_key = f"{KEY}-{run.run_count}-{len(asked) + 1}"
    try:
        sent = await _suspend(form, text, within, max(asked, key=_number_of, default=next_key))
    except ValidationError as error:
        logger.warning("The answer cannot be used: %s", error)
        sent = await _suspend(form, f"{text}\n\n**The last answer cannot be used:** {error}", within, next_key)
    answer = form.model_validate(sent.model_dump())
    logger.info("%s: %s. %s", answer.approved_by, answer.decision, answer.note)
    return answer


async def _suspend(form: type[F], text: str, within: timedelta, key: str) -> RunInput:
    shown = RunInput.subclass_from_base_model_type(form).with_initial_data(description=text)
    sent = await asuspend_flow_run(wait_for_input=shown, timeout=int(within.total_seconds()), key=key)
    assert sent is not None
    return sent


def _number_of(key: str) -> int:
    return int(key.rpartition("-")[2])
