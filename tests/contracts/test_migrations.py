"""From every older version of our tables the migrations lead to the same newest one, beside Optuna's own."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, create_engine, inspect, select, text

from storage import Store
from storage.database.opening import parse_url
from storage.migrate import VERSION_TABLE, configuration, upgrade
from storage.tables.schema import metadata, studies

TABLES = {
    "narrows_studies",
    "narrows_leases",
    "narrows_epochs",
    "narrows_results",
    "narrows_workers",
    "narrows_ids",
    "narrows_owners",
    "narrows_artifacts",
    "narrows_loose_blobs",
    "narrows_tokens",
    "narrows_sessions",
    "narrows_finals",
    "narrows_rounds",
    "narrows_imports",
}


def revisions() -> list[str]:
    """All revisions, oldest first."""
    with create_engine("sqlite://").connect() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(parse_url(empty_database_url))
    yield engine
    engine.dispose()


def version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def ours(_item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    return kind != "table" or ((name or "").startswith("narrows_") and name != VERSION_TABLE)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "include_object": ours, "compare_type": True}
    )
    found: list[object] = compare_metadata(context, metadata)
    return found


def test_the_revisions_are_one_line() -> None:
    with create_engine("sqlite://").connect() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
    assert len(script.get_heads()) == len(script.get_bases()) == 1


@pytest.mark.parametrize("start", [None, *revisions()])
def test_every_version_leads_to_the_tables_of_today(engine: Engine, start: str | None) -> None:
    with engine.begin() as connection:
        if start is not None:
            upgrade(connection, start)
            assert version(connection) == start
    with engine.begin() as connection:
        upgrade(connection)
    with engine.begin() as connection:
        assert version(connection) == revisions()[-1]
        assert differences(connection) == []
        assert set(inspect(connection).get_table_names()) >= TABLES


def test_upgrading_again_changes_nothing(engine: Engine) -> None:
    for _ in range(2):
        with engine.begin() as connection:
            upgrade(connection)
            assert differences(connection) == []


def test_a_failed_upgrade_leaves_nothing_behind(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE narrows_workers (worker_id INTEGER)"))
    with pytest.raises(Exception, match="narrows_workers"), engine.begin() as connection:
        upgrade(connection)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            assert inspect(connection).get_table_names() == ["narrows_workers"]


def test_a_store_opens_every_older_version_with_its_rows(engine: Engine, empty_database_url: str) -> None:
    with engine.begin() as connection:
        upgrade(connection, revisions()[0])
        connection.execute(
            text(
                "INSERT INTO narrows_studies (name, definition, state, n_trials, created_at)"
                " VALUES ('old', '{}', 'running', 3, :now)"
            ),
            {"now": datetime(2026, 1, 2, tzinfo=UTC)},
        )
        assert connection.execute(select(studies.c.name)).scalars().all() == ["old"]

    Store.open(empty_database_url).close()

    with engine.begin() as connection:
        assert version(connection) == revisions()[-1]


def test_our_versions_are_kept_apart_from_optunas(engine: Engine, empty_database_url: str) -> None:
    Store.open(empty_database_url).close()

    with engine.begin() as connection:
        optunas = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        own = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one()
    assert own == revisions()[-1]
    assert optunas != own
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        storage = RDBStorage(parse_url(empty_database_url).render_as_string(hide_password=False))
    assert storage.get_current_version() == storage.get_head_version()
    storage.engine.dispose()


def test_a_database_that_optuna_made_gets_our_tables_too(engine: Engine, empty_database_url: str) -> None:
    storage = RDBStorage(parse_url(empty_database_url).render_as_string(hide_password=False))
    storage.engine.dispose()

    store = Store.open(empty_database_url)

    assert store.studies() == []
    store.close()
