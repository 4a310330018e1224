"""`fks doctor`: what it finds, and that one dead part never keeps it from looking at the others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.doctor import exchange, failing, missing, running, telling
from deployments.doctor.examination import count_findings, examine, find_situation, render_json
from deployments.doctor.findings import Check, Finding, Question, Situation, Verdict, fine
from lib.errors import EnvironmentRefused
from lib.execution.halt import VARIABLE
from lib.market.timeframes import calc_newest_closed
from lib.settings import PROJECT_ROOT, load_settings
from tests.deployments.test_cli import fks
from tests.platforms import World
from tests.prefect_servers import PrefectServer, free_port
from tests.simulators import running_simulator


def situation_of(world: World, folder: Path, server: str | None = None) -> Situation:
    settings = load_settings()
    return Situation(settings, folder, datetime.now(UTC), server, world.database_url, PROJECT_ROOT)


def look(check: Check, situation: Situation) -> dict[str, str]:
    """Return what a check finds and how it is mended; all that is fine is left out."""
    (examined,) = examine(situation, [check])
    return {one.what: one.remedy for one in examined.findings if one.verdict is not Verdict.FINE}


def find_check(name: str) -> Check:
    every = (*running.CHECKS, *failing.CHECKS, *exchange.CHECKS, *missing.CHECKS, *telling.CHECKS)
    return next(check for check in every if check.name == name)


def test_with_everything_stopped_it_says_what_to_start_and_what_could_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = load_settings(exchange_url=f"http://127.0.0.1:{free_port()}")
    examined = {one.check.name: one.findings for one in examine(find_situation(settings, tmp_path))}
    verdicts = {name: {one.verdict for one in findings} for name, findings in examined.items()}
    for cause in ("stack", "Prefect server", "database"):
        assert verdicts[cause] == {Verdict.FINDING}
        assert "`fks up`" in examined[cause][0].remedy
    for effect in (
        "worker, pool, queues",
        "schedules",
        "last failures",
        "trading halt",
        "candles",
        "messages that wait",
    ):
        assert verdicts[effect] == {Verdict.UNKNOWN}
    assert "could not be reached" in examined["exchange and clock"][0].what
    assert not [one for findings in examined.values() for one in findings if "check itself failed" in one.what]


def test_a_check_that_breaks_is_a_finding_and_the_others_answer(tmp_path: Path) -> None:
    def breaks(situation: Situation) -> Iterator[Finding]:
        raise ZeroDivisionError("division by zero")

    def works(situation: Situation) -> Iterator[Finding]:
        yield fine("well")

    def waits(situation: Situation) -> Iterator[Finding]:
        raise EnvironmentRefused("no server")

    situation = find_situation(load_settings(), tmp_path)
    checks = [Check(Question.RUNNING, one.__name__, one) for one in (breaks, works, waits)]
    examined = examine(situation, checks)
    assert [one.findings[0].verdict for one in examined] == [Verdict.FINDING, Verdict.FINE, Verdict.UNKNOWN]
    assert examined[0].findings[0].what == "the check itself failed: ZeroDivisionError: division by zero"
    assert count_findings(examined) == 1
    shown = json.loads(render_json(examined, situation.now))
    assert shown["findings"] == 1
    assert [one["verdict"] for one in shown["checks"]] == ["finding", "fine", "unknown"]


def test_the_command_shows_a_table_and_answers_1_when_there_is_something_to_mend(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "doctor", FKS_EXCHANGE_URL=f"http://127.0.0.1:{free_port()}")
    assert code == 1
    for question in Question:
        assert question.value in shown
    assert re.search(r"\d findings", shown)


def test_old_candles_and_gaps_are_named_with_the_command_that_repairs_them(world: World, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    row = """
        INSERT INTO sync_status (symbol, timeframe, oldest_at, newest_at, candle_count, error, consecutive_failures)
        VALUES (:symbol, :timeframe, :at, :at, 1, NULL, 0)
    """
    for symbol in ("BTC/USDT", "ETH/USDT", "SOL/USDT", "LINK/USDT"):
        for timeframe in ("5m", "1h"):
            world.query(row, symbol=symbol, timeframe=timeframe, at=calc_newest_closed(now, timeframe))
    old_at = calc_newest_closed(now, "1h") - timedelta(hours=9)
    late = "UPDATE sync_status SET oldest_at = :at, newest_at = :at, error = 'no answer' WHERE symbol = 'SOL/USDT'"
    world.query(f"{late} AND timeframe = '1h'", at=old_at)
    world.query(
        "INSERT INTO candle_gaps (symbol, timeframe, starts_at, ends_at, state, reason, attempts, found_at)"
        " VALUES ('BTC/USDT', '5m', '2026-03-01 05:00Z', '2026-03-01 05:15Z', 'open', '', 1, :found)",
        found=now - timedelta(hours=5),
    )
    found = look(find_check("candles"), situation_of(world, tmp_path))
    gap, old = sorted(found)
    assert gap == "BTC/USDT 5m lacks 3 candles between 2026-03-01 05:00 and 2026-03-01 05:15 UTC"
    assert found[gap] == (
        ".venv/bin/prefect deployment run backfill-market-data/manual -p start=2026-03-01T05:00:00Z "
        "-p end=2026-03-01T05:15:00Z -p symbols='[\"BTC/USDT\"]' -p timeframes='[\"5m\"]'"
    )
    assert old.startswith("SOL/USDT 1h lacks its newest 9 candles")
    assert old.endswith("the last try: no answer")
    assert f"-p start={old_at:%Y-%m-%dT%H:%M:%SZ} -p symbols='[\"SOL/USDT\"]'" in found[old]


def test_without_candles_every_series_is_named(world: World, tmp_path: Path) -> None:
    found = look(find_check("candles"), situation_of(world, tmp_path))
    assert len(found) == 8
    assert "BTC/USDT 1h has no candle yet" in found


def test_a_key_that_may_withdraw_is_found_and_a_good_one_is_fine(world: World, tmp_path: Path) -> None:
    situation = situation_of(world, tmp_path)
    assert look(find_check("keys of the accounts"), situation) == {}
    world.simulator.control.request("PATCH", "/accounts", enable_withdrawals=True)
    (what,) = look(find_check("keys of the accounts"), situation)
    assert what == "the key of demo may move money out, so no order is sent with it"


def test_a_key_that_the_exchange_refuses_is_found_with_its_setting_and_without_the_secret(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"KIND": "live", "API_KEY": "k-hunter2", "API_SECRET": "s-hunter2"}.items():
        monkeypatch.setenv(f"FKS_ACCOUNTS__MAIN__{name}", value)
    ((what, remedy),) = look(find_check("keys of the accounts"), situation_of(world, tmp_path)).items()
    assert what.startswith("main: ")
    assert "FKS_ACCOUNTS__MAIN__API_KEY" in remedy
    assert "hunter2" not in what + remedy


def test_the_exchange_answers_with_its_clock_also_without_the_database(world: World, tmp_path: Path) -> None:
    situation = Situation(load_settings(), tmp_path, datetime.now(UTC), None, None, PROJECT_ROOT)
    (examined,) = examine(situation, [find_check("exchange and clock")])
    assert re.match(r"simulator answers in \d\.\d s, its clock is [+-]\d+ ms from ours", examined.findings[0].what)
    assert examined.findings[0].verdict is Verdict.FINE


def test_a_clock_that_is_off_is_found(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_simulator(start_at=datetime.now(UTC) - timedelta(hours=1)) as simulator:
        monkeypatch.setenv("FKS_EXCHANGE_URL", simulator.url)
        ((what, remedy),) = look(find_check("exchange and clock"), situation_of(world, tmp_path)).items()
    assert re.search(r"its clock is -36\d{5} ms from ours", what)
    assert "NTP" in remedy


def test_channels_are_asked_without_sending(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = find_check("channels")
    assert look(check, situation_of(world, tmp_path)) == {}
    world.webhooks.down = True
    ((what, remedy),) = look(check, situation_of(world, tmp_path)).items()
    assert what == "team: its server answers 503"
    assert "FKS_CHANNELS__TEAM__URL" in remedy
    monkeypatch.delenv("FKS_CHANNELS__TEAM__URL")
    (what,) = look(check, situation_of(world, tmp_path))
    assert what == "there is no channel, so nobody is told of anything"
    assert world.webhooks.messages == []


def test_tables_of_another_version_are_found(world: World, tmp_path: Path) -> None:
    assert look(find_check("database"), situation_of(world, tmp_path)) == {}
    world.query("UPDATE alembic_version SET version_num = '0001'")
    (what,) = look(find_check("database"), situation_of(world, tmp_path))
    assert "`fks migrate`" in what


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(120)
def test_what_the_server_knows_is_found_with_the_newest_error(
    world: World, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    api = prefect_server.api
    flow = api.ask("/flows/", {"name": "failing-chain"})["id"]

    def make_run(state: str, message: str = "") -> None:
        run = api.ask("/flow_runs/", {"flow_id": flow, "tags": ["fks"], "name": f"run {state}"})
        for step in ("RUNNING", state):
            api.ask(f"/flow_runs/{run['id']}/set_state", {"state": {"type": step, "message": message}, "force": True})

    situation = situation_of(world, tmp_path, api.url)
    make_run("FAILED", "no candles")
    ((what, remedy),) = of_flow(look(find_check("last failures"), situation)).items()
    assert re.match(r"failing-chain failed 1 time in 24 h, last \d\d-\d\d \d\d:\d\d UTC: no candles", what)
    assert f"{prefect_server.ui_url}/runs/flow-run/" in remedy
    make_run("CRASHED", "its process died")
    ((what, _),) = of_flow(look(find_check("last failures"), situation)).items()
    assert "failed 2 times in 24 h" in what and what.endswith("its process died")
    make_run("COMPLETED")
    assert of_flow(look(find_check("last failures"), situation)) == {}  # it works again

    assert look(find_check("Prefect server"), situation) == {}
    assert "not deployed: " in next(iter(look(find_check("schedules"), situation)))
    api.save_variable(VARIABLE, {"reason": "prices look wrong", "who": "anna"})
    try:
        ((what, remedy),) = look(find_check("trading halt"), situation).items()
    finally:
        api.delete_variable(VARIABLE)
    assert "prices look wrong (anna" in what and "`fks release`" in remedy


def of_flow(found: dict[str, str]) -> dict[str, str]:
    return {what: remedy for what, remedy in found.items() if "failing-chain" in what}
