"""The peer freqtrade: a development oracle in a throw-away environment of its own. Nothing of it ships."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pyarrow import feather

# Pinned with the client library that it shares with us, so that the same ccxt asks in both.
REQUIREMENTS = ("freqtrade==2026.9", "ccxt==4.5.90")
INSTALL_SECONDS = 600
DOWNLOAD_SECONDS = 900
BEGINS = "About to download pairs"  # its log's words for: imported, configured, markets loaded


class PeerMissing(Exception):
    """freqtrade cannot be installed here; the text says why."""


@dataclass(frozen=True)
class Download:
    """One run of ``freqtrade download-data``.

    Attributes:
        seconds: From the start of the process to its end.
        work_seconds: From the first download to the end, without imports and configuration.
        cpu_seconds: Of the process, all of it.
    """

    seconds: float
    work_seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Freqtrade:
    """freqtrade in one folder, pointed at one simulator.

    Attributes:
        throttled: Whether ccxt's own rate limiter is on, as freqtrade ships; off is the fastest it can be.
    """

    folder: Path
    simulator_url: str
    symbols: Sequence[str]
    throttled: bool = True

    def forget(self) -> None:
        """Remove what it stored."""
        shutil.rmtree(self.data / "data", ignore_errors=True)

    def download(self, timeframe: str, starts_at: datetime) -> Download:
        """Run download-data for candles since the day of `starts_at`.

        Raises:
            RuntimeError: It failed; the text has the end of its log.
        """
        command = [str(_program(self.folder)), "download-data", "--config", str(self._write_config())]
        command += ["--userdir", str(self.data), "-t", timeframe, "--timerange", f"{starts_at:%Y%m%d}-"]
        environment = {**os.environ, "COLUMNS": "400", "NO_COLOR": "1", "TZ": "UTC"}
        log = self.data / "log.txt"
        started = time.time()
        with log.open("w") as output:
            process = psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
            cpu_seconds = _wait(process)
        ended = time.time()
        lines = log.read_text().splitlines()
        begins = [line[:23] for line in lines if BEGINS in line]
        if process.returncode or not begins:
            raise RuntimeError("\n".join(["freqtrade failed:", *lines[-20:]]))
        began = datetime.strptime(begins[0], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)
        return Download(ended - started, ended - began.timestamp(), cpu_seconds)

    def load_closes(self, symbol: str, timeframe: str) -> dict[datetime, float]:
        """Return what it stored: closes by open time."""
        path = self.data / "data" / "binance" / f"{symbol.replace('/', '_')}-{timeframe}.feather"
        table = feather.read_table(path, columns=["date", "close"])
        return dict(zip(table["date"].to_pylist(), table["close"].to_pylist(), strict=True))

    @property
    def data(self) -> Path:
        """Its user folder."""
        return self.folder / ("throttled" if self.throttled else "free")

    def _write_config(self) -> Path:
        self.data.mkdir(exist_ok=True)
        path = self.data / "config.json"
        book = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
        config = {
            "dry_run": True,
            "stake_currency": "USDT",
            "stake_amount": 100,
            "max_open_trades": 1,
            "entry_pricing": book,
            "exit_pricing": book,
            "pairlists": [{"method": "StaticPairList"}],
            "exchange": {
                "name": "binance",
                "pair_whitelist": list(self.symbols),
                "enable_ws": False,
                "only_from_ccxt": True,  # else it takes archives from a web site of Binance
                "ccxt_config": self._to_client_config(),
            },
        }
        path.write_text(json.dumps(config))
        return path

    def _to_client_config(self) -> dict[str, object]:
        api = {"public": f"{self.simulator_url}/api/v3", "private": f"{self.simulator_url}/api/v3"}
        options = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}
        return {"urls": {"api": api}, "options": options, "enableRateLimit": self.throttled}


def install_peers(folder: Path, simulator_url: str, symbols: Sequence[str]) -> dict[str, Freqtrade]:
    """Return freqtrade in its two ways, by name; none, with the reason printed, where it cannot be installed."""
    try:
        _install(folder)
    except PeerMissing as error:
        print(f"Without the peer: {error}", flush=True)
        return {}
    return {
        "freqtrade as shipped": Freqtrade(folder, simulator_url, symbols),
        "freqtrade, its rate limiter off": Freqtrade(folder, simulator_url, symbols, throttled=False),
    }


def _install(folder: Path) -> None:
    """Make a virtual environment in `folder` and install the pinned freqtrade from the package registry.

    Raises:
        PeerMissing: The registry is out of reach, or has no such version for this machine.
    """
    environment = folder / "environment"
    uv = [sys.executable, "-m", "uv"]
    install = [*uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(environment / "bin" / "python")]
    for command in ([*uv, "venv", "-q", "--python", sys.executable, str(environment)], [*install, *REQUIREMENTS]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise PeerMissing(f"installing {REQUIREMENTS[0]} took longer than {INSTALL_SECONDS} s") from error
        if done.returncode:
            raise PeerMissing(f"{REQUIREMENTS[0]} cannot be installed: {done.stderr.strip()[-500:]}")


def _program(folder: Path) -> Path:
    return folder / "environment" / "bin" / "freqtrade"


def _wait(process: psutil.Popen) -> float:
    """Wait for the end of the process, and return the processor seconds it had used when last looked at."""
    deadline, cpu_seconds = time.monotonic() + DOWNLOAD_SECONDS, 0.0
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"freqtrade did not end within {DOWNLOAD_SECONDS} s.")
        try:
            times = process.cpu_times()
            cpu_seconds = times.user + times.system
        except psutil.Error:
            break
        time.sleep(0.05)
    process.wait()
    return cpu_seconds
