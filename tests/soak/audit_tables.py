"""What the tables grew to, and the memory, against what so many days may bring."""

from __future__ import annotations

from tests.soak.log import Log
from tests.soak.stage import ALTS, HISTORY_DAYS, MAINS, Stage

SYMBOLS, ACCOUNTS = len((*MAINS, *ALTS)), 3
SERIES = SYMBOLS * len(HISTORY_DAYS)
MONTH = 31  # whole months are archived, so up to one stays besides the retention
OTHERS = (100, 100.0)  # of a table that is not named
# By table: rows at most from the beginning, and for each day.
LIMITS: dict[str, tuple[int, float]] = {
    "accounts": (ACCOUNTS, 0),
    "market_source": (1, 0),
    "exchange_budget": (1, 0),
    "symbols": (10, 0),
    "news_feeds": (1, 0),
    "health_record": (1, 0),
    "strategies": (10, 0),
    "sync_status": (SERIES, 0),
    "indicator_states": (SERIES, 0),
    "reconciliations": (ACCOUNTS, 0),
    "opening_balances": (40, 0),
    "asset_prices": (40, 0),
    "account_balances": (60, 0),
    "fill_imports": (60, 0),
    # 5m candles of a month and a half; hours and longer of their history and all days; the two backfilled windows.
    "candles": (SYMBOLS * (288 * (MONTH + 10) + 24 * 121 + 6 * 181 + 401) + 4000, SYMBOLS * 31),
    "indicators": (SERIES * 1400 + SYMBOLS * 288 * MONTH, SYMBOLS * 31),
    "balance_history": (50, ACCOUNTS * 120),
    "risk_snapshots": (50, ACCOUNTS * 50),
    "signals": (500, 4 * SYMBOLS * 24),
    "signal_sizes": (500, 4 * SYMBOLS * ACCOUNTS * 4),
    "table_sizes": (0, 90),
    "notifications": (100, 200),
    "notification_deliveries": (100, 200),
    "performance_snapshots": (0, 3 * (ACCOUNTS + 1)),
}
FIRST_MEGABYTES, MEGABYTES_A_DAY = 120, 4  # after the first day, when everything has been imported and compiled


def audit_tables(stage: Stage, log: Log, days: float) -> None:
    """Hold each table, and the memory of the platform's process, to what the days may bring."""
    whole_days = days + 1  # with the calm hours at the end
    for row in stage.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        [[count]] = stage.query(f'SELECT count(*) FROM "{row.tablename}"')
        log.tables[row.tablename] = count
        first, each_day = LIMITS.get(row.tablename, OTHERS)
        if count > (most := first + each_day * whole_days):
            log.breach(
                f"the table {row.tablename} has {count:,} rows after {days:g} days, expected at most {most:,.0f}"
            )
    if len(log.memory) > 1:
        grown = log.memory[-1] - log.memory[0]
        if grown > FIRST_MEGABYTES + MEGABYTES_A_DAY * len(log.memory):
            log.breach(f"the memory grew by {grown:.0f} MB in {len(log.memory) - 1} days, {log.memory}")
