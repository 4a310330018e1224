"""The hourly look at the platform itself, as a flow on real parts."""

from __future__ import annotations

import re

import pytest
from prefect import tags

from flows.market import critical_path
from flows.operations import platform_health
from tests.platforms import World
from tests.runs import id_of, read_artifacts, read_run, read_task_runs

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


async def test_the_platform_shows_its_figures_and_tells_once_what_is_out_of_bounds(
    prefect_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tags("fks"):
        await read_task_runs(id_of(await critical_path(return_state=True)))  # its task runs are known now
    prefect_world.query("UPDATE sync_status SET newest_at = newest_at - interval '5 hours' WHERE timeframe = '1h'")

    state = await platform_health(return_state=True)
    assert state.name == "Partial", state.message
    shown = " ".join((await read_artifacts(id_of(state)))["platform-health"].split())
    assert "| check_stop_loss | fast | " in shown
    assert "| critical-path | " in shown
    assert re.search(r"lacks the newest [56] candles of 1h \(at most 3\)", shown)  # an hour may pass
    assert "| demo | " in shown
    name = str((await read_run(id_of(state))).name)
    assert "task runs in 24 h" in name and "candles 1h" in name
    (told,) = [text for text in prefect_world.webhooks.contents if "Out of bounds" in text]
    assert "candles 1h" in told

    await platform_health(return_state=True)
    assert len([text for text in prefect_world.webhooks.contents if "Out of bounds" in text]) == 1
