import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, delete, insert, select

from storage.database.opening import parse_url
from storage.tables.columns import Floats, JsonText, UtcDateTime
from tests.databases import postgres_database
from tests.steps import measured_steps
from tests.turns import unit_seconds

metadata = MetaData()
table = Table(
    "values_of_every_kind",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("json", JsonText),
    Column("floats", Floats),
    Column("moment", UtcDateTime),
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def connection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    if request.param == "sqlite":
        yield from connected(f"sqlite:///{tmp_path_factory.mktemp('database') / 'columns.db'}")
    else:
        with postgres_database() as url:
            yield from connected(url)


def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(parse_url(url))
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def kept(connection: Connection, column: str, value: Any) -> Any:
    connection.execute(delete(table))
    connection.execute(insert(table).values(**{column: value}))
    return connection.execute(select(table.c[column])).scalar_one()


TREES = [
    None,
    {},
    [],
    "",
    {"b": 1, "a": 2},
    {"text": "\0 日本 \U0001f98a"},
    [1, 1.0, True, None, "1"],
    {"large": 2**63, "small": 5e-324, "exact": 0.1},
]


@pytest.mark.parametrize("value", TREES)
def test_json_is_kept_to_the_letter(connection: Connection, value: Any) -> None:
    found = kept(connection, "json", value)

    assert repr(found) == repr(value)


def test_half_of_a_surrogate_pair_becomes_a_replacement_character(connection: Connection) -> None:
    found = kept(connection, "json", {"a \ud800": ["\udc00 \U0001f98a", {"b": r"\ud800"}]})

    assert found == {"a \ufffd": ["\ufffd \U0001f98a", {"b": r"\ud800"}]}


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_json_without_a_number_for_it_is_refused(connection: Connection, value: Any) -> None:
    with pytest.raises(Exception, match="JSON compliant"):
        kept(connection, "json", value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        [math.inf, -math.inf, 0.0, -0.0, 1.7976931348623157e308, 5e-324],
        {"a\0b": math.nan, "日本": math.inf, "\U0001f98a": 1.5},
    ],
)
def test_floats_keep_nan_and_infinities(connection: Connection, value: Any) -> None:
    found = kept(connection, "floats", value)

    assert repr(found) == repr(value)


def test_whole_numbers_become_floats(connection: Connection) -> None:
    assert [type(value) for value in kept(connection, "floats", [1, 2.0])] == [float, float]


def test_any_floats_go_round(connection: Connection) -> None:
    @settings(max_examples=50, deadline=None)
    @given(values=st.lists(st.floats()) | st.dictionaries(st.text(), st.floats()))
    def check(values: Any) -> None:
        assert repr(kept(connection, "floats", values)) == repr(values)

    check()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(9999, 12, 30, tzinfo=UTC),
        None,
    ],
)
def test_moments_are_kept_to_the_microsecond_as_utc(connection: Connection, moment: datetime | None) -> None:
    found = kept(connection, "moment", moment)

    assert found == moment
    assert found is None or found.utcoffset() == timedelta(0)


LONG: list[Any] = [{"é": 0.1}, [1, None], "\0", True] * 20_000


def test_a_long_list_is_written_as_a_short_one() -> None:
    assert JsonText().to_text(LONG) == json.dumps(LONG)


def test_other_threads_go_on_while_a_long_list_is_written() -> None:
    with measured_steps() as steps:
        JsonText().to_text(LONG)

    assert steps.longest < unit_seconds(), steps.name


def test_a_long_list_with_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        JsonText().to_text([*LONG, math.nan])
