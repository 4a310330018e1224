"""COPY upserts: exact, counted, and whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Engine,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    select,
    text,
)

from lib.adapters.database.copying import copy_new, copy_upsert
from lib.adapters.database.engine import database_errors, make_engine
from lib.errors import DatabaseUnavailable
from lib.ports import Written

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SAMPLES = Table(
    "samples",
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("taken_at", DateTime(timezone=True), primary_key=True),
    Column("value", Double),
    Column("large", BigInteger),
    Column("small", Integer),
    Column("note", Text),
)
WRITERS = pytest.mark.parametrize("write", [copy_upsert, copy_new])


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url)
    SAMPLES.metadata.create_all(engine)
    yield engine
    engine.dispose()


def sample(number: int, value: float | None = 1.5, name: str = "a") -> tuple[Any, ...]:
    return (name, NOON + timedelta(minutes=number), value, number, number, None)


def load(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(SAMPLES).order_by("name", "taken_at"))]


rows = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        st.datetimes(timezones=st.just(UTC)),
        st.none() | st.floats(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    ),
    max_size=20,
    unique_by=lambda row: row[:2],
)


@WRITERS
@given(rows=rows)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_to_the_last_bit(engine: Engine, write: Any, rows: list[tuple[Any, ...]]) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE samples"))
        write(connection, SAMPLES, rows)

    def exact(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value.hex() if isinstance(value, float) else value for value in row)

    assert {exact(row) for row in load(engine)} == {exact(row) for row in rows}


@WRITERS
def test_an_upsert_counts_new_rows_and_changed_ones_and_leaves_equal_ones_alone(engine: Engine, write: Any) -> None:
    with engine.begin() as connection:
        assert write(connection, SAMPLES, [sample(1), sample(2), sample(3)]) == {(): Written(3, 0)}
        before = connection.execute(text("SELECT ctid FROM samples WHERE small = 1")).scalar_one()
    with engine.begin() as connection:
        changed = [sample(1), sample(2, 9.5), sample(3, None), sample(4)]
        assert write(connection, SAMPLES, changed) == {(): Written(1, 2)}
        assert connection.execute(text("SELECT ctid FROM samples WHERE small = 1")).scalar_one() == before
    assert load(engine) == changed


@WRITERS
def test_counts_are_given_by_the_columns_asked_for(engine: Engine, write: Any) -> None:
    with engine.begin() as connection:
        written = write(connection, SAMPLES, [sample(1), sample(2), sample(1, name="b")], count_by=["name"])
        assert written == {("a",): Written(2, 0), ("b",): Written(1, 0)}


@WRITERS
def test_no_rows_are_no_work(engine: Engine, write: Any) -> None:
    with engine.begin() as connection:
        assert sum(count.inserted for count in write(connection, SAMPLES, []).values()) == 0


@WRITERS
def test_two_writes_in_one_transaction_do_not_mix(engine: Engine, write: Any) -> None:
    with engine.begin() as connection:
        write(connection, SAMPLES, [sample(1)])
        assert write(connection, SAMPLES, [sample(2)]) == {(): Written(1, 0)}
    assert load(engine) == [sample(1), sample(2)]


@WRITERS
def test_a_transaction_that_fails_leaves_nothing_and_the_connection_usable(engine: Engine, write: Any) -> None:
    with engine.connect() as connection:
        with pytest.raises(ZeroDivisionError), connection.begin():
            write(connection, SAMPLES, [sample(1)])
            raise ZeroDivisionError
        with connection.begin():
            write(connection, SAMPLES, [sample(2)])
    assert load(engine) == [sample(2)]


@WRITERS
def test_thousands_of_rows_with_names_of_different_lengths_and_nulls_go_in(engine: Engine, write: Any) -> None:
    many = [sample(number, None if number % 7 == 0 else number / 3, "x" * (number % 5 + 1)) for number in range(5000)]
    with engine.begin() as connection:
        assert write(connection, SAMPLES, many) == {(): Written(5000, 0)}
    assert load(engine) == sorted(many)


def test_a_column_that_copy_cannot_pack_is_refused(engine: Engine) -> None:
    table = Table("amounts", MetaData(), Column("name", Text, primary_key=True), Column("amount", Numeric))
    table.metadata.create_all(engine)
    with (
        engine.begin() as connection,
        pytest.raises(TypeError, match=r"Expected a column that COPY can pack, was amounts\.amount"),
    ):
        copy_upsert(connection, table, [("a", 1)])


def test_a_connection_lost_inside_copy_is_a_lost_database(engine: Engine) -> None:
    with engine.connect() as connection, engine.connect() as other:
        victim = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

        class Rows(list[tuple[Any, ...]]):
            """Ends the connection while its second chunk is read."""

            def __getitem__(self, index: Any) -> Any:
                if index.start:
                    other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": victim})
                return super().__getitem__(index)

        with pytest.raises(DatabaseUnavailable), database_errors("storing samples"):
            copy_new(connection, SAMPLES, Rows(sample(number) for number in range(50_000)))
    assert load(engine) == []
