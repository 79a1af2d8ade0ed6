"""Open a database by its address, and say in one line why when it cannot be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from storage.errors import DatabaseUnavailableError, InvalidDatabaseUrlError

SQLITE_TIMEOUT_SECONDS = 60
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


def parse_url(text: str) -> URL:
    """The address with its driver. Raises InvalidDatabaseUrlError, which never shows a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise InvalidDatabaseUrlError(
            "database must be an address such as sqlite:///narrows.db or postgresql://user@host/name"
        ) from error
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    if url.drivername not in DRIVERS.values():
        raise InvalidDatabaseUrlError(f"database must be sqlite or postgresql: {url.render_as_string()}")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise InvalidDatabaseUrlError("database must be a file, so that nothing is lost: sqlite:///narrows.db")
    return url


def open_optuna_storage(text: str) -> RDBStorage:
    """Optuna's own storage on that database, its tables made when missing.

    Raises InvalidDatabaseUrlError and DatabaseUnavailableError.
    """
    url = parse_url(text)
    with translated(url):
        _prepare(url)
        storage = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=_engine_options(url))
        if url.drivername == "sqlite":
            _configure_sqlite(storage.engine)
        return storage


def _engine_options(url: URL) -> dict[str, Any]:
    if url.drivername == "sqlite":
        return {"connect_args": {"timeout": SQLITE_TIMEOUT_SECONDS, "check_same_thread": False}}
    # Every request has a thread of its own; a pool smaller than the threads would make them queue twice.
    return {"pool_size": 20, "max_overflow": 30, "pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}


def _prepare(url: URL) -> None:
    """Fail early and readably, and bring SQLite into WAL mode, which the file remembers."""
    if url.drivername == "sqlite":
        folder = Path(url.database or "").resolve().parent
        if not folder.is_dir():
            raise InvalidDatabaseUrlError(f"database must lie in a folder that exists: {folder}")
    engine = create_engine(url, **_engine_options(url))
    try:
        with engine.connect() as connection:
            if url.drivername == "sqlite":
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    finally:
        engine.dispose()


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        # A deferred transaction that reads first and writes later fails at once when another one has written
        # in between; an immediate one waits its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before now lack the settings


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the database's own errors into one readable line."""
    shown = url.render_as_string(hide_password=True)
    try:
        yield
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise InvalidDatabaseUrlError(
            f"the driver for {shown} is not installed: pip install 'narrows[postgres]'"
        ) from error
    except OperationalError as error:
        raise DatabaseUnavailableError(f"cannot open {shown}: {_first_line(error)}") from error
    except DBAPIError as error:
        raise InvalidDatabaseUrlError(f"cannot use {shown}: {_first_line(error)}") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise InvalidDatabaseUrlError(f"cannot use {shown}: {str(error).splitlines()[0]}") from error


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
