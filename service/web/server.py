"""Run the service: open the database, listen, say so, and end cleanly."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import NoReturn

import uvicorn

from service import logs
from service.access.route_scopes import is_loopback
from service.events.event_stream import PATH as STREAM
from service.web.app import create_app, end_waiting
from service.web.http_protocol import BoundedHttp
from service.web.listening import ServeError, listen
from service.web.standby import stand_by
from storage import Store, open_artifacts, parse_url

log = logging.getLogger(__name__)

MAKE_ADMIN = "'narrows token create --scope admin --name NAME'"
SHUTDOWN_SECONDS = 10
STREAM_SECONDS = 1.0
"""Event streams end at once when the service does; a reader that has not taken the end by then is let go."""


SWITCH_SECONDS = 0.001
"""How long a sampler keeps the interpreter from the calls that come meanwhile: a claim waits for it several times."""


def serve(
    *,
    host: str,
    port: int,
    database: str,
    artifacts: str | None,
    max_artifact_bytes: int,
    standby: bool,
    token: str | None,
    lease_seconds: float,
    log_level: str,
    log_format: logs.LogFormat,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServeError and storage.StorageError when it cannot start."""
    if lease_seconds <= 0:
        raise ServeError(f"lease_seconds must be above 0: {lease_seconds:g}")
    logs.configure(log_level, log_format)
    # PyTorch, which the gp sampler loads later, would take every core: the service and its database need theirs. On a
    # busy machine of 2 cores its suggestions take a half to a tenth of the time on one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    blobs = open_artifacts(artifacts, parse_url(database))
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again when it is done
    if standby:
        store, listener = stand_by(database, partial(listen, host, port))
    else:
        listener = listen(host, port)  # before the database, so that a second service fails early
        store = Store.open(database)
    try:
        blobs.check()
        app = create_app(
            store, lease_seconds=lease_seconds, token=token, blobs=blobs, max_artifact_bytes=max_artifact_bytes
        )
        if not is_loopback(host) and not app.state.gate.tokens.has_admin:
            raise ServeError(
                f"listening on {host} needs an admin's token: set NARROWS_TOKEN, or listen on 127.0.0.1 "
                f"and run {MAKE_ADMIN}"
            )
        if not app.state.gate.tokens.exist:
            log.info("without tokens, everyone on this machine may do everything: %s makes the first one", MAKE_ADMIN)
        log.info("artifacts go to %s", blobs)
        config = uvicorn.Config(
            app,
            http=BoundedHttp,
            log_config=None,
            access_log=log_level == "debug",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
        )
        server = _Server(config, host, on_exit=lambda: end_waiting(app))
        server.run(sockets=[listener])
    finally:
        listener.close()
        store.close()


class _Server(uvicorn.Server):
    """Says where it listens once it does, and lets those who wait go as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, host: str, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._host = host
        self._on_exit = on_exit
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            host = f"[{self._host}]" if ":" in self._host else self._host
            print(f"Narrows is ready at http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is not None:  # not here and now: whoever is interrupted may hold the locks that this takes
            self._loop.call_soon_threadsafe(self._on_exit)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        letting_go = asyncio.get_running_loop().call_later(STREAM_SECONDS, self._let_go_of_streams)
        await super().shutdown(sockets=sockets)
        letting_go.cancel()

    def _let_go_of_streams(self) -> None:
        for connection in list(self.server_state.connections):
            if (getattr(connection, "scope", None) or {}).get("path") == STREAM:
                connection.transport.abort()


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
