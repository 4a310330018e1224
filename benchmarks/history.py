"""History: the first backfill of 10 symbols by default (30 days to 5 years), beside freqtrade's download-data.

freqtrade is asked once a timeframe, since it knows one window for all; the sum of its downloads is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine, text

from benchmarks.comparing import check_same_candles, forget_usage, show_comparison, show_traffic
from benchmarks.freqtrade import Download, Freqtrade, install_peers
from benchmarks.servers import Simulator, running_database, running_simulator, temporary_folder
from benchmarks.sync_process import Fks, Synced
from lib.settings import Settings

ROUNDS = 3
SYMBOLS = 10
HISTORY_DAYS: Mapping[str, int] = Settings.model_fields["history_days"].default
FORGET = "TRUNCATE candles, candle_gaps, sync_status, symbols"


def run() -> None:
    now = datetime.now(UTC).replace(minute=1, second=0, microsecond=0) - timedelta(hours=2)
    with running_database() as url, running_simulator(SYMBOLS, clock=now) as simulator, temporary_folder() as folder:
        symbols = simulator.load_symbols()
        fks, peers = Fks(url, simulator.url, symbols, HISTORY_DAYS), install_peers(folder, simulator.url, symbols)
        ours, theirs = _measure(fks, peers, simulator, now)
        show_traffic(f"first history of {SYMBOLS} symbols", ours)
        show_comparison(f"first history of {SYMBOLS} symbols", ours, theirs)
        for name, peer in peers.items():
            count = sum(check_same_candles(fks, peer, timeframe) for timeframe in HISTORY_DAYS)
            print(f"The same {count:,} candles in FKS and in {name}.", flush=True)


def _measure(
    fks: Fks, peers: Mapping[str, Freqtrade], simulator: Simulator, now: datetime
) -> tuple[Sequence[Synced], dict[str, Sequence[Download]]]:
    """Let everyone fetch all of it several times; the first time the simulator still draws its world."""
    ours: list[Synced] = []
    theirs: dict[str, list[Download]] = {name: [] for name in peers}
    for _ in range(ROUNDS + 1):
        _forget(fks)
        forget_usage(simulator, fks)
        ours.append(fks.sync())
        for name, peer in peers.items():
            peer.forget()
            forget_usage(simulator, fks)
            theirs[name].append(_download(peer, now))
    return ours[1:], {name: downloads[1:] for name, downloads in theirs.items()}


def _download(peer: Freqtrade, now: datetime) -> Download:
    parts = [peer.download(timeframe, now - timedelta(days=days)) for timeframe, days in HISTORY_DAYS.items()]
    return Download(
        sum(part.seconds for part in parts),
        sum(part.work_seconds for part in parts),
        sum(part.cpu_seconds for part in parts),
    )


def _forget(fks: Fks) -> None:
    engine = create_engine(fks.database_url)
    with engine.begin() as connection:
        connection.execute(text(FORGET))
    engine.dispose()
