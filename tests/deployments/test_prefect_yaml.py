"""`prefect.yaml` held to the flows it names, to the README, and to a strict schema. No server is needed."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import Flow
from prefect.cli.deploy._models import DeploymentConfig
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from deployments.automations import PATIENCE, Told, plan_automations
from deployments.specification import DEAD_MANS_SWITCH, DeploymentSpec, PrefectFile, ScheduleSpec, load_prefect_file
from lib.errors import SettingsError
from lib.settings import PROJECT_ROOT

FILE = load_prefect_file(PROJECT_ROOT / "prefect.yaml")
every_deployment = pytest.mark.parametrize("spec", FILE.deployments, ids=lambda spec: spec.full_name)


def load_flow(spec: DeploymentSpec) -> Flow[..., object]:
    path, _, function = spec.entrypoint.partition(":")
    return load_flow_from_entrypoint(f"{PROJECT_ROOT / path}:{function}")


@every_deployment
def test_the_entrypoint_is_a_flow_of_the_name_that_people_know(spec: DeploymentSpec) -> None:
    assert load_flow(spec).name == spec.flow_name


@every_deployment
def test_the_parameters_fit_the_flows_form(spec: DeploymentSpec) -> None:
    schema = parameter_schema(load_flow(spec)).model_dump_for_openapi()
    validate(spec.parameters, schema, raise_on_error=True, ignore_required=not spec.schedules)


@every_deployment
def test_every_parameter_has_a_help_text(spec: DeploymentSpec) -> None:
    properties = parameter_schema(load_flow(spec)).properties
    assert [name for name, field in properties.items() if not field.get("description")] == []


def test_our_schema_knows_no_key_that_prefect_does_not() -> None:
    assert set(DeploymentSpec.model_fields) <= set(DeploymentConfig.model_fields)


def test_the_readme_lists_the_same_flows_deployments_and_schedules() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \| ([a-z0-9-]+) \| ([^|]+?) \|", (PROJECT_ROOT / "README.md").read_text(), re.M)
    assert rows == [("flow", "deployment", "when")] + [
        (spec.flow_name, spec.name, spec.when) for spec in FILE.deployments
    ]


GOOD = {
    "name": "manual",
    "entrypoint": "flows/market.py:critical_path",
    "description": "Text.",
    "tags": ["fks", "market"],
    "work_pool": {"name": "fks", "work_queue_name": "critical"},
}
INTERVAL = {"interval": 300, "anchor_date": "2026-01-01T00:00:02+00:00", "timezone": "UTC"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"descripton": "misspelt"}, "descripton"),
        ({"schedule": INTERVAL}, "schedule"),
        ({"schedules": [INTERVAL | {"timezone": "Europe/Paris"}]}, "timezone"),
        ({"schedules": [{"interval": 300, "timezone": "UTC"}]}, "anchor_date"),
        ({"schedules": [INTERVAL | {"anchor_date": "2026-01-01T00:00:02"}]}, "anchor_date"),
        ({"schedules": [{"cron": "61 * * * *", "timezone": "UTC"}]}, "cron"),
        ({"schedules": [{"cron": "0 0 * * *"}]}, "timezone"),
        ({"schedules": [INTERVAL | {"cron": "0 0 * * *"}]}, "either interval or cron"),
        ({"work_pool": {"name": "fks", "work_queue_name": "critcal"}}, "work_queue_name"),
        ({"work_pool": {"name": "default", "work_queue_name": "critical"}}, "work_pool.name"),
        ({"tags": ["market", "portfolio"]}, "'fks' is missing"),
        ({"entrypoint": "flows/market.py"}, "entrypoint"),
    ],
)
def test_a_mistake_is_refused_by_name(tmp_path: Path, change: dict[str, object], named: str) -> None:
    path = tmp_path / "prefect.yaml"
    PrefectFile.model_validate({"deployments": [GOOD]})
    path.write_text(json.dumps({"deployments": [GOOD | change]}))
    with pytest.raises(SettingsError, match=re.escape(named)):
        load_prefect_file(path)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(json.dumps({"deployments": [GOOD, GOOD]}))
    with pytest.raises(SettingsError, match="critical-path/manual"):
        load_prefect_file(path)


@pytest.mark.parametrize("text", ["deployments: [", "", "deployments: []"])
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"prefect\.yaml"):
        load_prefect_file(path)


async def test_every_scheduled_deployment_has_a_dead_mans_switch_of_two_intervals_or_an_interval_and_four_hours() -> (
    None
):
    planned = await plan_automations(FILE, Told(urgent=[UUID(int=1)], warning=[]), "http://ui", PATIENCE)
    switches = {one.name: one for one in planned if DEAD_MANS_SWITCH in one.tags}
    scheduled = [spec for spec in FILE.deployments if spec.schedules]
    assert sorted(switches) == sorted(f"fks: {spec.full_name} has stopped" for spec in scheduled)
    for spec in scheduled:
        switch = switches[f"fks: {spec.full_name} has stopped"]
        trigger = EventTrigger.model_validate(switch.trigger.model_dump())
        (schedule,) = spec.schedules
        pause = await schedule.find_longest_pause()
        assert trigger.within == min(2.2 * pause, pause + timedelta(hours=4))
        assert switch.actions[0].type == ("send-notification" if spec.is_critical else "do-nothing")
        assert spec.is_critical == (spec.flow_name == "critical-path")


async def test_who_is_told_of_stops_only_is_told_of_their_end_only_and_nobody_twice() -> None:
    phone, team = UUID(int=1), UUID(int=2)
    planned = await plan_automations(FILE, Told(urgent=[phone, team], warning=[team]), "http://ui", PATIENCE)
    told = {
        one.name: [action.block_document_id for action in one.actions if isinstance(action, SendNotification)]
        for one in planned
        if one.name.endswith((" works again", " runs again"))
    }
    assert told.pop("fks: critical-path runs again") == [phone]
    assert set(map(tuple, told.values())) == {(team,)}
    flows = {spec.flow_name for spec in FILE.deployments if spec.schedules}
    assert set(told) == {f"fks: {flow} works again" for flow in flows}


async def test_every_message_of_the_server_says_what_to_do_and_ends_with_a_link() -> None:
    channel = [UUID(int=1)]
    planned = await plan_automations(FILE, Told(channel, channel), "http://ui", PATIENCE)
    sent = [action for one in planned for action in one.actions if isinstance(action, SendNotification)]
    assert len(sent) > 5
    for message in sent:
        assert message.subject[0] in "⚠✅"
        assert "What to do: " in message.body
        assert message.body.splitlines()[-1].startswith("http://ui/runs")


@pytest.mark.parametrize(
    ("schedule", "pause"),
    [
        (INTERVAL, timedelta(minutes=5)),
        ({"cron": "3 * * * *", "timezone": "UTC"}, timedelta(hours=1)),
        ({"cron": "*/15 9-17 * * 1-5", "timezone": "UTC"}, timedelta(days=2, hours=15, minutes=15)),
        ({"cron": "0 0 1 * *", "timezone": "UTC"}, timedelta(days=31)),
    ],
)
async def test_the_longest_pause_of_a_schedule_is_known(schedule: dict[str, object], pause: timedelta) -> None:
    assert await ScheduleSpec.model_validate(schedule).find_longest_pause() == pause


async def test_a_chain_that_two_deployments_schedule_has_two_switches_and_two_schedules_of_one_the_shorter() -> None:
    hourly = {"cron": "3 * * * *", "timezone": "UTC"}
    twice = [GOOD | {"schedules": [hourly, INTERVAL]}, GOOD | {"name": "hourly", "schedules": [hourly]}]
    file = PrefectFile.model_validate({"deployments": [*twice, GOOD | {"name": "by-hand"}]})
    planned = await plan_automations(file, Told(), "http://ui", PATIENCE)
    switches = {one.name: one.description for one in planned if DEAD_MANS_SWITCH in one.tags}
    assert list(switches) == ["fks: critical-path/manual has stopped", "fks: critical-path/hourly has stopped"]
    waits = [next(re.finditer(r"[\d.]+ (minutes|hours)", text)).group() for text in switches.values()]
    assert waits == ["11 minutes", "2.2 hours"]


async def test_a_run_of_the_night_that_is_missing_is_told_in_the_morning_in_hours() -> None:
    daily, weekly = ({"cron": cron, "timezone": "UTC"} for cron in ("30 23 * * *", "0 8 * * 1"))
    spec = GOOD | {"schedules": [daily]}, GOOD | {"name": "weekly", "schedules": [weekly]}
    channel = [UUID(int=1)]
    file = PrefectFile.model_validate({"deployments": [*spec]})
    planned = await plan_automations(file, Told(channel, channel), "http://ui", PATIENCE)
    bodies = [one.actions[0] for one in planned if DEAD_MANS_SWITCH in one.tags]
    said = [
        body.body.partition(" completed ")[2].partition(". ")[0]
        for body in bodies
        if isinstance(body, SendNotification)
    ]
    assert said == ["in the last 28 hours", "in the last 7.2 days"]
