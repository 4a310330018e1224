"""What the database tells of the platform's health."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine, text

from lib.adapters.database.data_faults import Gap, load_series
from lib.adapters.database.health import DatabaseHealth
from lib.adapters.database.overview import load_messages
from lib.errors import RetryableError
from lib.health.bounds import HealthBounds
from lib.health.checking import check_health
from lib.health.figures import ServerFigures
from lib.health.stores import Watched
from lib.results import Status
from tests.health.samples import SERVER, STATE

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
IDLE = SERVER.model_copy(update={"state": STATE.model_copy(update={"queues": ()})})
WATCHED = Watched(("BTC/USDT", "SOL/USDT", "LINK/USDT"), ("1h",), ("demo", "new"))


def fill(engine: Engine) -> None:
    """BTC is fresh, SOL five candles behind, LINK halted; the account "gone" left the settings."""
    statements = """
        INSERT INTO accounts VALUES ('demo', 'live', 'simulator', 'USDT', now()),
            ('new', 'paper', 'simulator', 'USDT', now()), ('gone', 'paper', 'simulator', 'USDT', now());
        INSERT INTO symbols (name, base, quote, asset_group, status, status_since, refreshed_at)
            VALUES ('LINK/USDT', 'LINK', 'USDT', 'alt', 'delisted', now(), now());
        INSERT INTO sync_status (symbol, timeframe, oldest_at, newest_at, candle_count, error, consecutive_failures)
            VALUES ('BTC/USDT', '1h', '2026-03-01', '2026-03-02 08:00Z', 33, NULL, 0),
            ('SOL/USDT', '1h', '2026-03-01', '2026-03-02 03:00Z', 28, 'no answer', 4),
            ('LINK/USDT', '1h', '2026-02-01', '2026-02-02 03:00Z', 28, NULL, 0);
        INSERT INTO candle_gaps (symbol, timeframe, starts_at, ends_at, state, reason, attempts, found_at)
            VALUES ('SOL/USDT', '1h', '2026-03-01 05:00Z', '2026-03-01 07:00Z', 'open', '', 1, '2026-03-01 08:00Z'),
            ('BTC/USDT', '1h', '2026-03-01 05:00Z', '2026-03-01 06:00Z', 'verified_absent', '', 1, '2026-03-01 08:00Z');
        INSERT INTO balance_history (account, at, cash_free, cash_locked, positions_value, other_value, equity,
            unexplained_value, unrealized_pnl, realized_pnl, day_flows, unpriced)
            VALUES ('demo', '2026-03-02 09:00Z', 1, 0, 0, 0, 10123.4, 0, 0, 0, 0, '{}'),
            ('demo', '2026-03-01 09:00Z', 1, 0, 0, 0, 9000, 0, 0, 0, 0, '{}');
        INSERT INTO fills (account, symbol, fill_id, order_id, side, price, quantity, fee, fee_asset, filled_at,
            quantity_step, fee_priced_by, imported_at)
            VALUES ('demo', 'SOL/USDT', 1, '1', 'buy', 100, 2, 0, 'USDT', '2026-03-02 03:00Z', 0.01, '', now()),
            ('demo', 'SOL/USDT', 2, '1', 'buy', 100, 2, 0, 'USDT', '2026-03-01 03:00Z', 0.01, '', now());
        INSERT INTO strategies VALUES ('breakout', 'active', '', now(), 1), ('other', 'disabled', '', now(), 1);
        INSERT INTO table_sizes VALUES ('2026-03-01', '', 1000, 0, now());
        INSERT INTO notifications (type, severity, title, body, deduplication_key, created_at, routed_at)
            VALUES ('risk', 'info', 'a', 'b', 'waits', '2026-03-02 08:00Z', now()),
            ('risk', 'info', 'a', 'b', 'lost', '2026-03-02 07:00Z', now());
        INSERT INTO notification_deliveries (notification_id, channel, priority, state, attempts, parts_sent, doubts,
            refusals, text_sent, created_at, next_attempt_at, last_error)
            SELECT notification_id, 'team', 1, CASE deduplication_key WHEN 'waits' THEN 'pending' ELSE 'failed' END,
            1, 0, 0, 0, false, created_at, now(), '' FROM notifications;
        INSERT INTO archive_manifest (dataset, symbol, timeframe, month, path, rows, size_bytes, sha256, state, deleted,
            written_at) VALUES ('candles', 'BTC/USDT', '5m', '2025-11-01', 'x', 8640, 300000, repeat('a', 64),
            'archived', 8640, now());
    """
    with engine.begin() as connection:
        connection.execute(text(statements))


def test_every_figure_is_what_the_tables_say(engine: Engine) -> None:
    fill(engine)
    figures = DatabaseHealth(engine).load_figures(NOW, WATCHED)
    (hour,) = figures.timeframes
    assert (hour.series, hour.laggard, hour.behind, hour.failing, hour.open_gaps) == (
        2,
        "SOL/USDT",
        5,
        ("SOL/USDT",),
        1,
    )
    demo, new = figures.accounts
    assert (demo.account, demo.equity, demo.trades, demo.traded_quote) == ("demo", Decimal("10123.4"), 1, Decimal(200))
    assert (new.equity, new.at, new.trades) == (None, None, 0)
    assert (figures.strategies, figures.known_strategies) == (("breakout",), 2)
    ours, *_ = figures.sizes  # another test may have made a database of Prefect on the session's server
    assert ours.size_bytes > 1_000_000
    assert (ours.measured_bytes, ours.measured_on) == (1000, date(2026, 3, 1))
    assert (figures.backlog.waiting, figures.backlog.undelivered) == (1, 1)
    assert figures.backlog.oldest_at == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert (figures.archive.files, figures.archive.rows, figures.archive.month) == (1, 8640, date(2025, 11, 1))


def test_an_empty_database_has_figures_too(engine: Engine) -> None:
    figures = DatabaseHealth(engine).load_figures(NOW, WATCHED)
    (hour,) = figures.timeframes
    assert (hour.series, hour.behind, hour.newest_at) == (3, None, None)
    assert (figures.accounts, figures.strategies, figures.archive.files) == ((), (), 0)


def test_each_series_says_what_it_lacks(engine: Engine) -> None:
    fill(engine)
    btc, link, sol = load_series(engine, WATCHED, NOW, settled=NOW)
    assert (btc.behind, btc.gap, btc.error) == (0, None, None)
    assert not link.trades
    assert (sol.behind, sol.error) == (5, "no answer")
    assert sol.gap == Gap(2, datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 3, 1, 7, tzinfo=UTC))
    *_, young = load_series(engine, WATCHED, NOW, settled=datetime(2026, 3, 1, 7, tzinfo=UTC))
    assert young.gap is None  # the next runs may fill it


class Wall:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


def check(engine: Engine, hours: int, read_server: object = lambda at: IDLE) -> tuple[Status, list[str]]:
    result = check_health(
        store=DatabaseHealth(engine),
        read_server=read_server,  # type: ignore[arg-type]  # a lambda
        watched=WATCHED,
        bounds=HealthBounds(health_max_backlog_minutes=10_000),
        clock=Wall(NOW + timedelta(hours=hours)),
    )
    return result.status, [item.name for item in result.failed]


def test_a_check_keeps_the_record_and_tells_of_beginning_and_end_once(engine: Engine) -> None:
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE balance_history SET at = at + interval '1 day' WHERE equity = 10123.4"))
    assert check(engine, 0) == (Status.PARTIAL, ["candles 1h"])
    assert check(engine, 1) == (Status.PARTIAL, ["candles 1h"])
    with engine.begin() as connection:
        connection.execute(text("UPDATE sync_status SET newest_at = '2026-03-02 13:00Z'"))
    assert check(engine, 2) == (Status.OK, [])
    assert check(engine, 3) == (Status.OK, [])
    titles = [message.title for message in load_messages(engine) if "bounds" in message.title]
    assert titles == ["⚠️ Out of bounds: candles 1h", "✅ Within bounds again: candles 1h"]
    record = DatabaseHealth(engine).load_record()
    assert record is not None and (record.at, record.problems) == (NOW + timedelta(hours=3), ())


def test_a_server_that_does_not_answer_is_a_problem_and_the_database_is_shown_all_the_same(engine: Engine) -> None:
    fill(engine)

    def refuse(at: datetime) -> ServerFigures:
        raise RetryableError("connection refused")

    status, failed = check(engine, 0, refuse)
    assert status is Status.PARTIAL
    assert "Prefect server" in failed
    record = DatabaseHealth(engine).load_record()
    assert record is not None and record.server is None
    assert [one.key for one in record.problems] == ["candles 1h", "server"]
    assert record.store.accounts


def test_a_record_of_another_version_counts_as_none(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO health_record VALUES (1, now(), '{\"older\": 1}')"))
    assert DatabaseHealth(engine).load_record() is None
    assert check(engine, 0)[0] is Status.OK
    assert DatabaseHealth(engine).load_record() is not None
