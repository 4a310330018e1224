"""The command line: what people see when something is missing or wrong. No traceback, always a remedy."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def fks(home: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the program in a process of its own; returns exit code and what it showed, white space made single."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FKS_", "PREFECT_"))}
    done = subprocess.run(
        [sys.executable, "-m", "deployments", *arguments],
        env={**clean, "FKS_HOME": str(home), "COLUMNS": "200", "PREFECT_HOME": str(home / "prefect"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    shown = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert "Traceback" not in shown
    return done.returncode, shown


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_status_and_stop_say_that_nothing_runs(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "status")
    assert code == 3
    assert f"Nothing runs in {tmp_path}. `fks up` starts it." in shown
    assert fks(tmp_path, "stop")[0] == 0


def test_a_misspelt_setting_is_refused_by_name(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "up", FKS_PREFECT_PRT="4201")
    assert code == 1
    assert "FKS_PREFECT_PRT" in shown
    assert "FKS_PREFECT_PORT" in shown


def test_a_home_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, shown = fks(tmp_path / "file" / "home", "up")
    assert code == 1
    assert "cannot be written" in shown
    assert "set FKS_HOME" in shown


@pytest.mark.parametrize("variable", ["FKS_PREFECT_PORT", "FKS_SIMULATOR_PORT"])
def test_a_port_that_was_asked_for_and_is_taken_stops_the_start(tmp_path: Path, taken_port: int, variable: str) -> None:
    code, shown = fks(tmp_path, "up", **{variable: str(taken_port)})
    assert code == 1
    assert f"Port {taken_port} ({variable}) is taken. Stop what uses it, or set another port." in shown
    assert not (tmp_path / "postgres").exists()


def test_a_database_url_that_is_none_is_refused_without_showing_the_password(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "up", FKS_DATABASE_URL="mysql://fks:hunter2@127.0.0.1/fks")
    assert code == 1
    assert "FKS_DATABASE_URL: expected postgresql://" in shown
    assert "hunter2" not in shown


def test_a_database_server_that_is_down_is_named(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "up", FKS_DATABASE_URL="postgresql://fks:hunter2@127.0.0.1:1/fks")
    assert code == 1
    assert "PostgreSQL refused the connection" in shown
    assert "hunter2" not in shown


LIVE = {"FKS_ACCOUNTS__MAIN__KIND": "live", "FKS_ACCOUNTS__MAIN__API_KEY": "k", "FKS_ACCOUNTS__MAIN__API_SECRET": "s"}
WRONG = [
    ({"FKS_EXCHANGE": "binanec"}, ["Unknown exchange 'binanec'. Did you mean binance", "Set FKS_EXCHANGE."]),
    ({"FKS_EXCHANGE": "kraken", **LIVE}, ["A live account at kraken", "Set FKS_ACCOUNTS__MAIN__KIND=paper"]),
    (
        {"FKS_EXCHANGE": "kraken", "FKS_EXCHANGE_SANDBOX": "true", "FKS_CHANNELS__TEAM__URL": "discord:/hunter2"},
        [
            "kraken has no test network. Remove FKS_EXCHANGE_SANDBOX.",
            "FKS_CHANNELS__TEAM__URL is not a URL",
            "Expected",
        ],
    ),
]


@pytest.mark.parametrize(("environment", "expected"), WRONG, ids=["exchange", "account", "channel"])
def test_what_no_run_could_work_with_stops_the_start_before_anything_runs(
    tmp_path: Path, environment: dict[str, str], expected: list[str]
) -> None:
    code, shown = fks(tmp_path, "up", **environment)
    assert code == 1
    assert all(words in shown for words in expected)
    assert "hunter2" not in shown
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "stack.json").exists()


def test_apply_refuses_what_no_run_could_work_with(tmp_path: Path) -> None:
    server = {"PREFECT_API_URL": "http://127.0.0.1:1/api", "FKS_DATABASE_URL": "postgresql://fks@127.0.0.1:1/fks"}
    code, shown = fks(tmp_path, "apply", FKS_EXCHANGE="binance", FKS_CHANNELS__TEAM__URL="discord:/hunter2", **server)
    assert code == 1
    assert "FKS_CHANNELS__TEAM__URL is not a URL that Apprise can use" in shown
    assert "hunter2" not in shown


def test_the_settings_can_be_checked_alone(tmp_path: Path) -> None:
    assert fks(tmp_path, "check")[0] == 0
    code, shown = fks(tmp_path, "check", FKS_EXCHANGE="binanec", FKS_ARCHIVE_URL="s4://bucket")
    assert code == 1
    assert "Unknown exchange 'binanec'" in shown
    assert "FKS_ARCHIVE_URL s4://bucket" in shown


def test_apply_needs_to_know_the_server_and_the_database(tmp_path: Path) -> None:
    code, shown = fks(tmp_path, "apply", FKS_DATABASE_URL="postgresql://fks@127.0.0.1/fks")
    assert code == 1
    assert "PREFECT_API_URL is not set" in shown
    code, shown = fks(tmp_path, "apply", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert code == 1
    assert "FKS_DATABASE_URL is not set" in shown


def test_the_simulator_names_a_taken_port_and_a_recording_it_cannot_read(tmp_path: Path, taken_port: int) -> None:
    code, shown = fks(tmp_path, "simulator", "--port", str(taken_port))
    assert code == 1
    assert f"Port {taken_port}" in shown
    code, shown = fks(tmp_path, "simulator", "--port", "0", "--replay-folder", str(tmp_path))
    assert code == 1
    assert str(tmp_path) in shown
