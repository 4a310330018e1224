"""Why a task does not run: the stack, its server, database, disk, pool, queues, schedules, late runs, the halt."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from deployments import halting, home
from deployments.doctor.findings import Check, Finding, Question, Situation, fine, found
from deployments.specification import TAG, load_prefect_file
from lib.adapters import orchestrator
from lib.adapters.database.engine import make_engine
from lib.adapters.database.schema import check_schema
from lib.archive.report import render_bytes
from lib.errors import EnvironmentRefused
from lib.health.bounds import judge_state
from lib.results import render_count

LEAST_FREE_BYTES = 2_000_000_000  # a day of WAL, logs and results of a default stack, several times


def look_at_stack(situation: Situation) -> Iterator[Finding]:
    """Look at the processes that `fks up` started here."""
    record = home.load_record(situation.folder)
    if record is None:
        if situation.server is None:
            yield found(f"nothing runs in {situation.folder}", "`fks up` starts everything")
        else:
            yield fine(f"no stack of this folder; the Prefect server is {situation.server}")
        return
    processes = {"fks up": record.supervisor, **record.children}
    dead = [name for name, process in processes.items() if process.find() is None]
    if dead:
        yield found(
            f"not running: {', '.join(dead)}",
            f"`fks up` starts them again; the ends of their logs are in {situation.folder / 'logs'}",
        )
    else:
        yield fine(f"{render_count(len(processes), 'programs')} run")


def look_at_server(situation: Situation) -> Iterator[Finding]:
    """Look whether the Prefect server answers, lets us in, and reaches its database."""
    if situation.server is None:
        yield found("no Prefect server runs, and PREFECT_API_URL is not set", "`fks up` starts one")
        return
    with situation.open_server() as api:
        if not api.is_healthy():
            raise EnvironmentRefused(
                f"the Prefect server at {api.url} does not answer, or not its database. `fks up` starts it; its log "
                f"is {situation.folder / 'logs' / 'prefect-server.log'}"
            )
        api.ask("/work_pools/filter", {"limit": 1})  # asks for the login
    yield fine(f"{situation.server} answers")


def look_at_database(situation: Situation) -> Iterator[Finding]:
    """Look whether our database answers and has the tables of this version."""
    if situation.database_url is None:
        yield found("the database does not run, and FKS_DATABASE_URL is not set", "`fks up` starts it")
        return
    engine = make_engine(situation.database_url)
    try:
        check_schema(engine)
    finally:
        engine.dispose()
    yield fine("it answers, with the tables of this version")


def look_at_disk(situation: Situation) -> Iterator[Finding]:
    """Look how much room the home folder has."""
    folder = next(one for one in (situation.folder, *situation.folder.parents) if one.exists())
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        yield found(f"{render_bytes(free)} are free in {folder}", "free space, or move FKS_HOME")
    else:
        yield fine(f"{render_bytes(free)} are free")


def look_at_pool(situation: Situation) -> Iterator[Finding]:
    """Look at the pool, its workers and its queues."""
    with situation.open_server() as api:
        state = orchestrator.load_state(api.ask, situation.now)
    for breach in judge_state(state, situation.settings, situation.now):
        yield found(breach.what, breach.remedy)
    online = [worker.name for worker in state.workers if worker.is_online]
    if online:
        queues = ", ".join(f"{one.name} {one.waiting} waiting, {one.running} running" for one in state.queues)
        yield fine(f"{render_count(len(online), 'workers')} ({', '.join(online)}); {queues}")


def look_at_schedules(situation: Situation) -> Iterator[Finding]:
    """Look whether every deployment is there and every schedule active, with a next run."""
    wanted = load_prefect_file(situation.project / "prefect.yaml").deployments
    with situation.open_server() as api:
        present = {one.name: one for one in api.load_deployments(TAG)}
    missing = [spec.full_name for spec in wanted if spec.full_name not in present]
    if missing:
        yield found(f"not deployed: {', '.join(missing)}", "`fks up` or `fks apply` deploys them")
    scheduled = [present[spec.full_name] for spec in wanted if spec.schedules and spec.full_name in present]
    for one in scheduled:
        if not one.is_scheduled:
            yield found(
                f"the schedule of {one.name} is switched off", "switch it on in the UI (Deployments), or `fks apply`"
            )
        elif one.next_at is None:
            yield found(
                f"{one.name} has no next run", "the server's scheduler makes it within a minute; if not, see its log"
            )
    if all(one.is_scheduled and one.next_at for one in scheduled) and not missing:
        yield fine(f"{render_count(len(scheduled), 'schedules')} are active")


def look_at_waiting_runs(situation: Situation) -> Iterator[Finding]:
    """List runs that are late, and those that wait for a person."""
    with situation.open_server() as api:
        late = orchestrator.load_late(api.ask, situation.now)
        suspended = api.load_suspended(TAG)
    for run in late:
        minutes = int((situation.now - run.at).total_seconds() // 60)
        words = f"{run.flow} ({run.name}) is {minutes} min late in the queue {run.queue}"
        if minutes >= situation.settings.health_max_late_minutes:
            yield found(words, "see what runs in that queue, and cancel what hangs")
        else:
            yield fine(words)
    for name, _ in suspended:
        yield found(f"{name} waits for an answer in its form", "open it in the UI, Resume, approve or reject")
    if not late and not suspended:
        yield fine("no run is late, none waits for a person")


def look_at_halt(situation: Situation) -> Iterator[Finding]:
    """Look whether orders are refused."""
    with situation.open_server() as api:
        halt = halting.load_halt(api)
    if halt is None:
        yield fine("trading is not halted")
    else:
        yield found(f"trading is HALTED: {halt.describe()}; no order is sent", "`fks release` lets orders be sent")


def look_at_automations(situation: Situation) -> Iterator[Finding]:
    """Look whether the server's own alarms are on."""
    with situation.open_server() as api:
        ours = [one for one in api.ask("/automations/filter", {}) if TAG in one["tags"]]
    off = [one["name"] for one in ours if not one["enabled"]]
    if off or not ours:
        named = f"{len(off)} are off, as {off[0]}" if off else "there are none"
        yield found(f"of the server's own alarms {named}", "`fks up` or `fks apply` makes them and switches them on")
    else:
        yield fine(f"{len(ours)} of the server's own alarms are on")


CHECKS = (
    Check(Question.RUNNING, "stack", look_at_stack, is_cause=True),
    Check(Question.RUNNING, "Prefect server", look_at_server, is_cause=True),
    Check(Question.RUNNING, "database", look_at_database, is_cause=True),
    Check(Question.RUNNING, "disk", look_at_disk, is_cause=True),
    Check(Question.RUNNING, "worker, pool, queues", look_at_pool),
    Check(Question.RUNNING, "schedules", look_at_schedules),
    Check(Question.RUNNING, "late and waiting runs", look_at_waiting_runs),
    Check(Question.RUNNING, "trading halt", look_at_halt),
    Check(Question.TOLD, "alarms", look_at_automations),
)
