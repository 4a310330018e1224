"""The simulator as a program of its own: starting, stopping, a port that is taken, a kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from lib.simulator.server import SimulatorConfig, create_app

PROJECT = Path(__file__).parents[2]
DEADLINE = 30.0
PROGRAM = (
    "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
    "from lib.simulator.server import SimulatorConfig, run\n"
    "state = Path(sys.argv[2]) if len(sys.argv) > 2 else None\n"
    "run(SimulatorConfig(port=int(sys.argv[1]), state_path=state, start_at=datetime(2026, 3, 2, tzinfo=UTC)))\n"
)


@contextmanager
def program(port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port), *arguments],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=DEADLINE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_serving(process: subprocess.Popen[str], port: int) -> str:
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            httpx.get(f"{url}/api/v3/ping", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return url
    pytest.fail(f"The simulator did not answer on {url} within {DEADLINE} s.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_also_with_a_client_connected(number: signal.Signals) -> None:
    port = free_port()
    with program(port) as process:
        url = wait_until_serving(process, port)
        with httpx.Client(trust_env=False) as client:
            client.get(f"{url}/api/v3/ping")
            process.send_signal(number)
            out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert f"Simulator on {url}" in out
    assert err == ""


def test_a_taken_port_is_said_in_one_line_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with program(port) as process:
            _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err == (
        f"Port {port} on 127.0.0.1 is taken by another program. "
        "Stop that program, or give the simulator another port.\n"
    )


def test_after_a_kill_the_same_world_goes_on(tmp_path: Path) -> None:
    port = free_port()
    query = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=100"
    with program(port, str(tmp_path)) as process:
        url = wait_until_serving(process, port)
        for path, body in (
            ("price", {"symbol": "BTCUSDT", "price": "50000"}),
            ("clock/advance", {"seconds": 4000}),
            ("scenario", {"scenario": "rally"}),
            ("clock/advance", {"seconds": 1000}),
        ):
            httpx.post(f"{url}/control/{path}", json=body, trust_env=False).raise_for_status()
        before = httpx.get(url + query, trust_env=False).json()
        process.kill()
    with program(port, str(tmp_path)) as process:
        url = wait_until_serving(process, port)
        assert httpx.get(url + query, trust_env=False).json() == before


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"start_at": datetime(2026, 3, 2)}, "with a time zone"),  # noqa: DTZ001  that is the mistake
        ({"start_at": datetime(2010, 1, 1, tzinfo=UTC)}, "from 2017-10-01 to 2049-01-01"),
        ({"symbols_count": 0}, "1 to 500 symbols, was 0"),
        ({"symbols_count": 501}, "1 to 500 symbols, was 501"),
        ({"replay_folder": Path("nowhere")}, "No recorded candles in nowhere"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_is_expected(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        create_app(SimulatorConfig(**settings))


def test_a_state_file_that_is_no_state_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "market.json").write_text("{")
    with pytest.raises(ValueError, match=r"market\.json is not a simulator's state"):
        create_app(SimulatorConfig(state_path=tmp_path))
