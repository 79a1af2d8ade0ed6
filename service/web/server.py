"""Runs the service: opens the database, listens, announces it, and shuts down cleanly."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import NoReturn

import uvicorn

from service import logs
from service.access.origins import is_loopback
from service.events.event_stream import EVENTS_PATH
from service.sampling.custom.custom_samplers import CustomSamplers
from service.web.app import close_waits, create_app
from service.web.forwarded import behind_proxies
from service.web.http_protocol import BoundedHttp
from service.web.listening import ServeError, listen
from service.web.short_collections import ShortCollections, short_collections
from service.web.standby import stand_by
from storage import Store, open_artifacts, parse_url

log = logging.getLogger(__name__)

GUESSABLE_LENGTH = 16
CREATE_ADMIN = "'narrows token create --scope admin --name NAME'"
PRIVATE_UMASK = 0o077
"""What the service creates (its database, artifacts and lock file), only its own user can read."""

SHUTDOWN_SECONDS = 10
STREAM_SECONDS = 1.0
"""Streams end when the service shuts down; a reader that has not received the end after this time is disconnected."""

SWITCH_SECONDS = 0.001
"""Maximum time that a sampler holds the interpreter lock at once: a claim waits for the lock several times."""


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
    samplers: Sequence[str],
    sampler_memory_bytes: int,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ServeError and StorageError when the service cannot start."""
    if lease_seconds <= 0:
        raise ServeError(f"lease_seconds must be above 0: {lease_seconds:g}")
    logs.configure_logging(log_level, log_format)
    # PyTorch, which the gp sampler loads later, would use every core, but the service and its database need some. On a
    # busy machine with 2 cores, suggestions on one thread take a half to a tenth of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.umask(PRIVATE_UMASK)
    blobs = open_artifacts(artifacts, parse_url(database))
    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, _exit)  # uvicorn raises the signal again after its shutdown
    if standby:
        store, listener = stand_by(database, partial(listen, host, port))
    else:
        listener = listen(host, port)  # before opening the database, so that a second service fails early
        store = Store.open(database)
    try:
        blobs.check()
        app = create_app(
            store,
            lease_seconds=lease_seconds,
            token=token,
            blobs=blobs,
            max_artifact_bytes=max_artifact_bytes,
            custom_samplers=CustomSamplers(samplers, sampler_memory_bytes),
        )
        if not is_loopback(host) and not app.state.authenticator.tokens.has_admin:
            raise ServeError(
                f"listening on {host} needs an admin's token: set NARROWS_TOKEN, or listen on 127.0.0.1 "
                f"and run {CREATE_ADMIN}"
            )
        if not app.state.authenticator.tokens.any_exist:
            log.info(
                "without tokens, every caller on this machine may do everything: %s creates the first one", CREATE_ADMIN
            )
        log.info("artifacts are stored in %s", blobs)
        if token is not None and len(token) < GUESSABLE_LENGTH:
            log.warning(
                "NARROWS_TOKEN is short enough to be guessed: use at least %d random characters", GUESSABLE_LENGTH
            )
        config = uvicorn.Config(
            behind_proxies(app),
            proxy_headers=False,  # `behind_proxies` reads them
            http=BoundedHttp,
            log_config=None,
            access_log=log_level == "debug",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
        )
        with short_collections() as collections:
            server = _Server(config, host, on_exit=lambda: close_waits(app), collections=collections)
            server.run(sockets=[listener])
    finally:
        listener.close()
        store.close()


class _Server(uvicorn.Server):
    """Prints its address once it listens, and ends the waits of clients as soon as it is told to shut down.

    While it runs, it collects garbage.
    """

    def __init__(
        self, config: uvicorn.Config, host: str, on_exit: Callable[[], None], collections: ShortCollections
    ) -> None:
        super().__init__(config)
        self._host = host
        self._on_exit = on_exit
        self._collections = collections
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening and print the address."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        self._collecting = self._loop.create_task(
            self._collections.keep_stepping(lambda: self.server_state.total_requests)
        )
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            host = f"[{self._host}]" if ":" in self._host else self._host
            print(f"Narrows is ready at http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is not None:  # deferred, because the interrupted code may hold the locks that `on_exit` takes
            self._loop.call_soon_threadsafe(self._on_exit)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        disconnecting = asyncio.get_running_loop().call_later(STREAM_SECONDS, self._disconnect_streams)
        await super().shutdown(sockets=sockets)
        disconnecting.cancel()
        self._collecting.cancel()

    def _disconnect_streams(self) -> None:
        for connection in list(self.server_state.connections):
            if (getattr(connection, "scope", None) or {}).get("path") == EVENTS_PATH:
                connection.transport.abort()


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)
