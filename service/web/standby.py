"""Waiting for a database that another service has."""

import logging
import socket
import time
from collections.abc import Callable

from service.web.listening import PortTakenError
from storage import DatabaseOwnedError, DatabaseUnavailableError, Store, open_engine

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
"""How long a database that was away is left to the service that had it, which is back sooner when it is alive."""


def stand_by(database: str, listen: Callable[[], socket.socket]) -> tuple[Store, socket.socket]:
    """Open a database as soon as no other service has it, nor the port, which a living one never lets go of.

    Raises as `listen` and Store.open do; but once it stands by, a database that is away is waited for too.
    """
    open_engine(database).dispose()
    said: type[Exception] | None = None
    while True:
        try:
            return _take(database, listen)
        except (PortTakenError, DatabaseOwnedError, DatabaseUnavailableError) as error:
            if said is None and isinstance(error, DatabaseUnavailableError):
                raise
            if type(error) is not said:
                log.warning("%s; standing by", error)
                said = type(error)
            if isinstance(error, DatabaseUnavailableError):
                _wait_out(database)
        time.sleep(POLL_SECONDS)


def _take(database: str, listen: Callable[[], socket.socket]) -> tuple[Store, socket.socket]:
    listener = listen()
    try:
        return Store.open(database), listener
    except BaseException:
        listener.close()
        raise


def _wait_out(database: str) -> None:
    """Return some time after a database answers again."""
    while True:
        try:
            open_engine(database).dispose()
        except DatabaseUnavailableError:
            time.sleep(POLL_SECONDS)
        else:
            time.sleep(GRACE_SECONDS)
            return
