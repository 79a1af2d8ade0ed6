"""Run the service: open the database, listen, say so, and end cleanly."""

import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import optuna
import uvicorn

from service.access import is_loopback
from service.app import create_app
from storage import DatabaseOwnedError, Store

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 10
STANDBY_SECONDS = 1.0


class ServeError(Exception):
    """The service cannot start; the message says why in one line."""


def serve(
    *, host: str, port: int, database: str, standby: bool, token: str | None, lease_seconds: float, log_level: str
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServeError and storage.StorageError when it cannot start."""
    if not token and not is_loopback(host):
        raise ServeError(f"listening on {host} needs a token: set NARROWS_TOKEN, or listen on 127.0.0.1")
    if lease_seconds <= 0:
        raise ServeError(f"lease_seconds must be above 0: {lease_seconds:g}")
    _log_to_stderr(log_level)
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again when it is done
    # The port comes first, so that a second service fails early; one that stands by may share it with the first.
    listener = None if standby else _listen(host, port)
    store = _wait_for(database) if standby else Store.open(database)
    try:
        listener = listener or _listen(host, port)
        app = create_app(store, lease_seconds=lease_seconds, token=token)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=log_level == "debug",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
        )
        server = _Server(config, host, on_exit=app.state.signal.close)
        server.run(sockets=[listener])
    finally:
        if listener is not None:
            listener.close()
        store.close()


def _wait_for(database: str) -> Store:
    """Open a database as soon as no other service has it."""
    said = False
    while True:
        try:
            return Store.open(database)
        except DatabaseOwnedError as error:
            if not said:
                log.warning("%s; standing by", error)
                said = True
            time.sleep(STANDBY_SECONDS)


class _Server(uvicorn.Server):
    """Says where it listens once it does, and lets waiting claims go as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, host: str, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._host = host
        self._on_exit = on_exit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            host = f"[{self._host}]" if ":" in self._host else self._host
            print(f"Narrows is ready at http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_exit()
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; uvicorn listens on it. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, every answer waits 40 ms for the client's ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _log_to_stderr(log_level: str) -> None:
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
