"""Opens the port of the service."""

import errno
import socket


class ServeError(Exception):
    """The service cannot start. The message is one line with the reason."""


class PortTakenError(ServeError):
    """Another program listens on the port."""


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket for uvicorn to listen on. Raises ServeError and PortTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is named; otherwise every answer waits 40 ms for the client's ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        kind = PortTakenError if error.errno == errno.EADDRINUSE else ServeError
        raise kind(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
