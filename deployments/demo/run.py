"""The stack in a folder of its own, from its start to its end, with the situations in between."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.addresses import LOOPBACK
from deployments.demo.buy_signal import TIMEFRAME, play_buy_signal
from deployments.demo.expectations import Expectations
from deployments.demo.high_risk import play_high_risk
from deployments.demo.normal_market import play_normal_market
from deployments.demo.stage import open_stage
from deployments.demo.stop_loss import play_stop_loss
from deployments.display import Display
from deployments.local import stop_on_signals
from deployments.stack import StopRequested, running_stack
from lib.settings import ENV_FILE, Settings, load_settings

SITUATIONS = {
    "Normal market": play_normal_market,
    "Stop loss triggered": play_stop_loss,
    "BUY signal detected": play_buy_signal,
    "HIGH risk detected": play_high_risk,
}
# Of the settings' defaults, but for minute candles, on which strategies decide: a BUY comes within the next minute.
SETTINGS = {
    "FKS_HISTORY_DAYS": '{"1m": 1, "5m": 30, "1h": 730, "4h": 730, "1d": 1825}',
    "FKS_SIGNAL_TIMEFRAME": TIMEFRAME,
}
INTERRUPTED = 130  # as a shell reports Ctrl-C


def run_demo(display: Display) -> int:
    """Start a stack, play every situation, stop it, and say whether all went as it must.

    It neither touches nor reads what the operator has: a running `fks up`, settings, channels, keys.

    Returns:
        0 when every expectation holds, 1 when not, 130 when people stopped it.

    Raises:
        FksError: It could not be played to its end; the message says why, and the folder is kept.
    """
    expectations = Expectations(display.console)
    try:
        with stop_on_signals() as stopping, own_home(display, expectations, stopping) as home:
            _play(_make_settings(home), display, stopping, expectations)
    except StopRequested:
        display.note("Stopped; nothing of it is left.")
        return INTERRUPTED
    expectations.show_verdict()
    return 1 if expectations.failed else 0


@contextmanager
def own_home(display: Display, expectations: Expectations, stopping: threading.Event) -> Iterator[Path]:
    """Give a new folder; remove it afterwards, unless something failed: then say where it is.

    What fails once people have stopped it is no failure: with a closed terminal, each line it writes does.
    """
    home = Path(tempfile.mkdtemp(prefix="fks-demo-"))
    home.chmod(0o755)  # the account that PostgreSQL runs as must enter; what is secret has its own mode
    display.note(f"The demo lives in {home}, with settings of its own, and goes away at its end.")
    keep = True
    try:
        yield home
        keep = bool(expectations.failed)
    except BaseException:
        keep = not stopping.is_set()
        raise
    finally:
        if keep:
            display.warn(f"Data and logs are kept in {home}. Remove it when you have seen enough.")
        else:
            _remove(home)


def _remove(home: Path) -> None:
    cluster = home / "postgres" / "cluster"
    if cluster.is_symlink():  # it lies where its account can enter
        shutil.rmtree(cluster.resolve().parent, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _make_settings(home: Path) -> Settings:
    """Return ours on free ports, and leave the operator's settings behind, also for the programs we start."""
    for name in [name for name in os.environ if name.startswith("FKS_")]:
        del os.environ[name]
    os.environ.update({ENV_FILE: "", **SETTINGS})
    prefect_port, simulator_port = _find_free_ports()
    return load_settings(home=home, prefect_port=prefect_port, simulator_port=simulator_port)


def _find_free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((LOOPBACK, 0))
        other.bind((LOOPBACK, 0))
        return one.getsockname()[1], other.getsockname()[1]


def _play(settings: Settings, display: Display, stopping: threading.Event, expectations: Expectations) -> None:
    with running_stack(settings, display, stopping) as stack, open_stage(stack, expectations) as stage:
        for number, (title, play) in enumerate(SITUATIONS.items(), 1):
            display.heading(f"{number}  {title}")
            play(stage)
        display.heading("The end")
