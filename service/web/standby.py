"""Waits until the other service that uses a database ends."""

import logging
import socket
import time
from collections.abc import Callable

from service.web.listening import PortTakenError
from storage import DatabaseOwnedError, DatabaseUnavailableError, Store, open_engine

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
"""After an outage of the database, the service that used it gets this long to reconnect before it is replaced."""


def stand_by(database: str, listen: Callable[[], socket.socket]) -> tuple[Store, socket.socket]:
    """Open a database and the port as soon as no other service holds either of them.

    Raises what `listen` and Store.open raise. Once it stands by, it also waits while the database is unavailable.
    """
    open_engine(database).dispose()
    logged: type[Exception] | None = None
    while True:
        try:
            return _open(database, listen)
        except (PortTakenError, DatabaseOwnedError, DatabaseUnavailableError) as error:
            if logged is None and isinstance(error, DatabaseUnavailableError):
                raise
            if type(error) is not logged:
                log.warning("%s; standing by", error)
                logged = type(error)
            if isinstance(error, DatabaseUnavailableError):
                _wait_for_database(database)
        time.sleep(POLL_SECONDS)


def _open(database: str, listen: Callable[[], socket.socket]) -> tuple[Store, socket.socket]:
    listener = listen()
    try:
        return Store.open(database), listener
    except BaseException:
        listener.close()
        raise


def _wait_for_database(database: str) -> None:
    """Return GRACE_SECONDS after the database answers again."""
    while True:
        try:
            open_engine(database).dispose()
        except DatabaseUnavailableError:
            time.sleep(POLL_SECONDS)
        else:
            time.sleep(GRACE_SECONDS)
            return
