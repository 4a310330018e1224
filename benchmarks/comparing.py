"""Us beside freqtrade: the same candles stored, the tables of both, and a fresh minute before each measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from sqlalchemy import create_engine, text

from benchmarks.freqtrade import Download, Freqtrade
from benchmarks.measuring import calc_ratio, render_spread, show_table
from benchmarks.servers import Simulator
from benchmarks.sync_process import Fks, Synced

WEIGHT_PER_SECOND = 100  # 6,000 a minute


def forget_usage(simulator: Simulator, fks: Fks) -> None:
    """Let the exchange and our shared budget forget the weight used so far."""
    simulator.reset_usage()
    engine = create_engine(fks.database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM exchange_budget"))
    engine.dispose()


def show_traffic(what: str, synced: Sequence[Synced]) -> None:
    """Print what our synchronisation did with the exchange, and how long it waited for what."""
    last = synced[-1]
    busy = [100 * one.cpu_seconds / one.seconds for one in synced]
    rows = [
        ("seconds of sync_market_data", render_spread([one.seconds for one in synced])),
        ("requests, weight", f"{last.requests:,}, {last.weight:,}"),
        ("seconds in which the exchange grants that weight", f"{last.weight / WEIGHT_PER_SECOND:.1f}"),
        ("requests in flight, most", f"{max(one.in_flight_peak for one in synced)}"),
        ("requests in flight, mean", render_spread([one.in_flight_mean for one in synced], 1)),
        ("processor seconds of our process meanwhile", render_spread([one.cpu_seconds for one in synced])),
        ("share of time on a processor, % (the rest is waiting)", render_spread(busy, 0)),
        ("a request's wait for the exchange's answer, ms", render_spread([one.reply_ms for one in synced], 1)),
        ("a request's wait for its turn at the shared weight, ms", render_spread([one.budget_ms for one in synced], 1)),
        ("seconds of the process, start to end", render_spread([one.process_seconds for one in synced])),
        ("peak memory of the process, MB", render_spread([one.peak_megabytes for one in synced], 0)),
    ]
    print(f"It says: {last.summary}", flush=True)
    show_table((what, "FKS: median (least to most)"), rows)
    print(flush=True)


def show_comparison(what: str, ours: Sequence[Synced], theirs: Mapping[str, Sequence[Download]]) -> None:
    """Print our times beside the peer's; the ratio is of the work alone, without imports and configuration."""
    work = [one.seconds for one in ours]
    rows = [_to_row("FKS", work, [one.process_seconds for one in ours], [one.process_cpu_seconds for one in ours], "1")]
    for name, downloads in theirs.items():
        times = [one.work_seconds for one in downloads]
        whole, cpu = [one.seconds for one in downloads], [one.cpu_seconds for one in downloads]
        rows.append(_to_row(name, times, whole, cpu, f"{calc_ratio(work, times):.1f}"))
    show_table((what, "work, s", "whole process, s", "processor, whole process, s", "FKS x as fast (work)"), rows)
    print(flush=True)


def check_same_candles(fks: Fks, peer: Freqtrade, timeframe: str) -> int:
    """Return how many candles both have stored of all symbols.

    freqtrade may have one more: it tells the running candle by this machine's clock, which a driven one is not.

    Raises:
        RuntimeError: A close differs, or freqtrade lacks our newest candle.
    """
    engine = create_engine(fks.database_url)
    query = text("SELECT opened_at, close FROM candles WHERE symbol = :symbol AND timeframe = :timeframe")
    count = 0
    with engine.connect() as connection:
        for symbol in fks.symbols:
            rows = connection.execute(query, {"symbol": symbol, "timeframe": timeframe}).all()
            ours = {row.opened_at: row.close for row in rows}
            theirs = peer.load_closes(symbol, timeframe)
            both = ours.keys() & theirs.keys()
            if max(ours) not in theirs or any(ours[at] != theirs[at] for at in both):
                raise RuntimeError(f"{symbol} {timeframe}: the candles differ between FKS and freqtrade.")
            count += len(both)
    engine.dispose()
    return count


def _to_row(
    name: str, work: Sequence[float], whole: Sequence[float], cpu: Sequence[float], ratio: str
) -> tuple[str, str, str, str, str]:
    return name, render_spread(work), render_spread(whole), f"{median(cpu):.1f}", ratio
