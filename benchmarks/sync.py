"""Sync: 500 symbols x 1 due candle, beside freqtrade's download-data; and all four timeframes due at midnight.

All ask the same simulator with Binance's request weights (6,000 a minute) for the same candles, each from a process of
its own. The simulator's clock is driven, so that exactly the wanted candles are due.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from benchmarks.comparing import check_same_candles, forget_usage, show_comparison, show_traffic
from benchmarks.freqtrade import Download, Freqtrade, install_peers
from benchmarks.servers import Simulator, running_database, running_simulator, temporary_folder
from benchmarks.sync_process import Fks, Synced

ROUNDS, MIDNIGHTS = 5, 3
SYMBOLS = 500
ONE_DAY = {"5m": 1, "1h": 1, "4h": 1, "1d": 1}
BEGINS = timedelta(hours=23, minutes=31)  # no candle of 1h closes in the rounds; after them comes midnight
STEP = timedelta(minutes=5)


def run() -> None:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    with (
        running_database() as url,
        running_simulator(SYMBOLS, clock=day + BEGINS) as simulator,
        temporary_folder() as folder,
    ):
        symbols = simulator.load_symbols()
        fks, peers = Fks(url, simulator.url, symbols, ONE_DAY), install_peers(folder, simulator.url, symbols)
        ours, theirs = _measure_due(fks, peers, simulator, day)
        show_traffic(f"{SYMBOLS} symbols x 1 due candle", ours)
        show_comparison(f"{SYMBOLS} symbols x 1 due candle", ours, theirs)
        for name, peer in peers.items():
            print(f"The same {check_same_candles(fks, peer, '5m'):,} candles in FKS and in {name}.", flush=True)
        midnights = _measure_midnights(fks, simulator, day + timedelta(days=1))
        show_traffic(f"{SYMBOLS} symbols x 4 due candles (midnight)", midnights)


def _measure_due(
    fks: Fks, peers: Mapping[str, Freqtrade], simulator: Simulator, day: datetime
) -> tuple[list[Synced], dict[str, list[Download]]]:
    """Fetch the day so far with everyone, then one candle more, several times."""
    ours: list[Synced] = []
    theirs: dict[str, list[Download]] = {name: [] for name in peers}
    for number in range(ROUNDS + 1):
        simulator.set_clock(day + BEGINS + number * STEP)
        forget_usage(simulator, fks)
        ours.append(fks.sync())
        for name, peer in peers.items():
            forget_usage(simulator, fks)
            theirs[name].append(peer.download("5m", day))
    return ours[1:], {name: downloads[1:] for name, downloads in theirs.items()}


def _measure_midnights(fks: Fks, simulator: Simulator, midnight: datetime) -> list[Synced]:
    """Let all timeframes fall due at once, with everything before that fetched already."""
    synced = []
    for number in range(MIDNIGHTS):
        for minutes in (-4, 1):
            simulator.set_clock(midnight + timedelta(days=number, minutes=minutes))
            forget_usage(simulator, fks)
            synced.append(fks.sync())
    return synced[1::2]
