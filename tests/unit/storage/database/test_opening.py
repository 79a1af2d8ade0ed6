import socket
from pathlib import Path

import pytest

from storage import DatabaseUnavailableError, InvalidDatabaseUrlError, StorageError, Store
from storage.database.opening import parse_url


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("postgresql://u@h/d", "postgresql+psycopg"),
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@h:5433/d?sslmode=disable", "postgresql+psycopg"),
    ],
)
def test_an_address_gets_its_driver(text: str, driver: str) -> None:
    assert parse_url(text).drivername == driver


@pytest.mark.parametrize(
    "text",
    [
        "",
        "narrows.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "mysql://user:secret-word@host/name",
        "postgresql+psycopg2://user:secret-word@host/name",
        "postgresql+nonsense://user:secret-word@host/name",
        "postgresql://user:secret-word@host:port/name",
        "://user:secret-word@host/name",
        "sqlite:////no/such/folder/narrows.db",
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_without_a_password(text: str) -> None:
    with pytest.raises(StorageError) as raised:
        Store.open(text)

    assert isinstance(raised.value, InvalidDatabaseUrlError)
    assert len(str(raised.value).splitlines()) == 1
    assert "secret-word" not in str(raised.value)


def test_a_database_that_does_not_answer_is_one_line_without_a_password() -> None:
    with socket.socket() as listener:  # bound, but nobody listens
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with pytest.raises(DatabaseUnavailableError) as raised:
            Store.open(f"postgresql://user:secret-word@127.0.0.1:{port}/name")

    message = str(raised.value)
    assert len(message.splitlines()) == 1
    assert "secret-word" not in message
    assert f"127.0.0.1:{port}" in message


def test_a_database_that_is_not_there_is_named(postgres_url: str) -> None:
    with pytest.raises(StorageError, match="no_such_database") as raised:
        Store.open(postgres_url.rsplit("/", 1)[0] + "/no_such_database")

    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 100, b"\0" * 4096])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)

    with pytest.raises(StorageError) as raised:
        Store.open(f"sqlite:///{file}")

    assert len(str(raised.value).splitlines()) == 1
    assert file.read_bytes() == content


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Store.open(f"sqlite:///{tmp_path}")


def test_sqlite_writes_ahead_and_syncs_fully(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'narrows.db'}")
    with store.optuna.engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    store.close()


def test_a_path_with_odd_characters_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "日本 50% #1"
    folder.mkdir()

    Store.open(f"sqlite:///{folder / 'narrows.db'}").close()

    assert (folder / "narrows.db").exists()
