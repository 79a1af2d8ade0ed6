"""Open a database by its URL. Every failure becomes an error with one readable line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from storage.errors import DatabaseUnavailableError, InvalidDatabaseUrlError, reason_of
from storage.migrate import upgrade

SQLITE_TIMEOUT_SECONDS = 60
CONNECT_TIMEOUT_SECONDS = 10
DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


def parse_url(text: str) -> URL:
    """The URL of one of our databases, with its driver. Raises InvalidDatabaseUrlError, without a password in it."""
    url = parse_address(text, "sqlite:///narrows.db or postgresql://user@host/name")
    if url.drivername not in DRIVERS.values():
        raise InvalidDatabaseUrlError(f"database must be sqlite or postgresql: {url.render_as_string()}")
    plain = url.database not in (None, "", ":memory:") and not (url.database or "").startswith("file:")
    if url.drivername == "sqlite" and not plain:
        raise InvalidDatabaseUrlError("database must be a file, so that nothing is lost: sqlite:///narrows.db")
    return url


def parse_address(text: str, example: str) -> URL:
    """The URL of a database of any kind, with the driver that Narrows installs for it.

    Raises InvalidDatabaseUrlError. Its message shows the example, not the text, because that may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise InvalidDatabaseUrlError(f"database must be an address such as {example}") from error
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def check_folder(url: URL) -> None:
    """Raises InvalidDatabaseUrlError if the folder of an SQLite file does not exist."""
    folder = Path(url.database or "").resolve().parent
    if not folder.is_dir():
        raise InvalidDatabaseUrlError(f"database must lie in a folder that exists: {folder}")


def open_engine(text: str) -> Engine:
    """An engine for a database that answers. Raises InvalidDatabaseUrlError and DatabaseUnavailableError."""
    url = parse_url(text)
    with as_storage_errors(url):
        if url.drivername == "sqlite":
            check_folder(url)
        engine = create_engine(url, **_engine_options(url))
        if url.drivername == "sqlite":
            _configure_sqlite(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
        return engine


def create_tables(engine: Engine) -> None:
    """Bring the tables up to date: Optuna creates its own, and our migrations create and change ours.

    Raises InvalidDatabaseUrlError if Optuna's tables are from an incompatible version of Optuna.
    """
    with as_storage_errors(engine.url):
        text = engine.url.render_as_string(hide_password=False)
        connections = create_engine(engine.url, connect_args=_connect_args(engine.url)).pool
        try:
            RDBStorage(text, engine_kwargs={"pool": connections}).remove_session()
        except RuntimeError as error:
            url = engine.url.render_as_string(hide_password=True)
            raise InvalidDatabaseUrlError(f"Optuna refuses the database {url}: {error}") from error
        finally:
            connections.dispose()  # also when Optuna refuses, which leaves them open
        with engine.begin() as connection:
            upgrade(connection)


def _engine_options(url: URL) -> dict[str, Any]:
    # Few threads read, because all studies are in memory. The pool replaces stale connections itself.
    return {"connect_args": _connect_args(url), "pool_pre_ping": True, "pool_size": 5, "max_overflow": 40}


def _connect_args(url: URL) -> dict[str, Any]:
    if url.drivername == "sqlite":
        return {"timeout": SQLITE_TIMEOUT_SECONDS, "check_same_thread": False}
    return {"connect_timeout": CONNECT_TIMEOUT_SECONDS}


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # on_begin sends BEGIN
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")


@contextmanager
def as_storage_errors(url: URL) -> Iterator[None]:
    """Raise the errors of SQLAlchemy and Optuna as InvalidDatabaseUrlError or DatabaseUnavailableError, in one line."""
    shown = url.render_as_string(hide_password=True)
    try:
        yield
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        install = ": pip install 'narrows[postgres]'" if url.get_backend_name() == "postgresql" else ""
        raise InvalidDatabaseUrlError(f"the driver for {shown} is not installed{install}") from error
    except OperationalError as error:
        raise DatabaseUnavailableError(f"cannot open {shown}: {reason_of(error)}") from error
    except DBAPIError as error:
        raise InvalidDatabaseUrlError(f"cannot use {shown}: {reason_of(error)}") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise InvalidDatabaseUrlError(f"cannot use {shown}: {str(error).splitlines()[0]}") from error
