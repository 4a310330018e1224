"""The request budget that all processes share, in the table `exchange_budget`.

Taking weight is one statement and one row lock: 0.6 ms at the median on the embedded server (0.8 ms from a coroutine,
through a thread), so leases of larger pieces were not needed. It does not wait for the disk: a crash of the server
forgets at most the weight of the last moments, which the exchange tells again. A pause is always durable.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, text

from lib.adapters.database.engine import database_errors
from lib.adapters.exchange.budget import LONGEST_PAUSE, WINDOW, Held, Pause, Taken, calc_pause
from lib.units import EPOCH

# A row from further ahead than this was written under a wrong clock and must not hold anyone up.
_TRUSTED_AHEAD = LONGEST_PAUSE + timedelta(days=1)

# The row's minute counts if it is ours or the next one (a process whose clock is a little ahead); else ours begins.
_TAKE = text("""
    SET LOCAL synchronous_commit TO off;
    INSERT INTO exchange_budget AS budget (exchange, window_started_at, used_weight, banned, refusals)
    VALUES (:exchange, :window, :weight, false, 0)
    ON CONFLICT (exchange) DO UPDATE SET
        used_weight = excluded.used_weight + CASE
            WHEN budget.window_started_at BETWEEN :window AND :next_window THEN budget.used_weight ELSE 0 END,
        window_started_at = CASE
            WHEN budget.window_started_at BETWEEN :window AND :next_window THEN budget.window_started_at
            ELSE excluded.window_started_at END
    WHERE (budget.paused_until IS NULL OR budget.paused_until <= :now OR budget.paused_until > :trusted)
        AND (excluded.used_weight <= :limit - budget.used_weight
            OR budget.window_started_at NOT BETWEEN :window AND :next_window)
    RETURNING window_started_at, used_weight
""")
_READ = text("SELECT * FROM exchange_budget WHERE exchange = :exchange")
_RAISE = text("""
    UPDATE exchange_budget SET used_weight = :used_weight
    WHERE exchange = :exchange AND window_started_at = :window AND used_weight < :used_weight
""")
_LOCK = text("""
    INSERT INTO exchange_budget AS budget (exchange, window_started_at, used_weight, banned, refusals)
    VALUES (:exchange, :window, 0, false, 0)
    ON CONFLICT (exchange) DO UPDATE SET exchange = excluded.exchange
    RETURNING *
""")
_PAUSE = text("""
    UPDATE exchange_budget SET paused_until = :until, banned = :banned, refusals = :refusals WHERE exchange = :exchange
""")


class BudgetStore:
    """The `BudgetLedger` in PostgreSQL. Each method is one short transaction; safe to call from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, exchange: str, weight: int, limit: int, now: datetime) -> Taken | Held:
        """Take `weight` from the minute of `now` if there is room below `limit` and no pause."""
        window = _window_of(now)
        values = {
            "exchange": exchange,
            "weight": weight,
            "limit": limit,
            "now": now,
            "window": window,
            "next_window": window + WINDOW,
            "trusted": now + _TRUSTED_AHEAD,
        }
        with database_errors("taking request weight"), self._engine.begin() as connection:
            row = connection.execute(_TAKE, values).one_or_none()
            if row is not None:
                return Taken(row.window_started_at, row.used_weight)
            return _to_held(connection.execute(_READ, values).one(), now)

    def raise_used(self, exchange: str, window_started_at: datetime, used_weight: int) -> None:
        """Correct that minute's sum upward to what the exchange told; never downward."""
        values = {"exchange": exchange, "window": window_started_at, "used_weight": used_weight}
        with database_errors("correcting request weight"), self._engine.begin() as connection:
            connection.execute(_RAISE, values)

    def pause(self, exchange: str, now: datetime, retry_after: timedelta | None, banned: bool) -> Pause:
        """Make every process pause, as `calc_pause` says."""
        with database_errors("storing a pause of the exchange"), self._engine.begin() as connection:
            previous = _lock_pause(connection, exchange, now)
            pause = calc_pause(previous, now, retry_after, banned)
            values = {"until": pause.until, "banned": pause.banned, "refusals": pause.refusals, "exchange": exchange}
            connection.execute(_PAUSE, values)
            return pause


def _window_of(now: datetime) -> datetime:
    return EPOCH + (now - EPOCH) // WINDOW * WINDOW


def _to_held(row: Row[Any], now: datetime) -> Held:
    if row.paused_until is not None and now < row.paused_until <= now + _TRUSTED_AHEAD:
        return Held(row.paused_until, paused=True, banned=row.banned)
    return Held(row.window_started_at + WINDOW, paused=False, banned=False)


def _lock_pause(connection: Connection, exchange: str, now: datetime) -> Pause | None:
    row = connection.execute(_LOCK, {"exchange": exchange, "window": _window_of(now)}).one()
    if row.paused_until is None or row.paused_until > now + _TRUSTED_AHEAD:
        return None
    return Pause(row.paused_until, row.refusals, row.banned)
