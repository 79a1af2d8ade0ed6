"""A port for the processes of one trial to meet at."""

import socket
from contextlib import closing


class ReservedPort:
    """A free port that nobody else is given until `close`.

    It is bound and not listened at. So the operating system gives it to no program that asks for any port, such as
    another trial, and one that is told its number may still listen there with SO_REUSEADDR, as PyTorch's TCPStore does.
    """

    def __init__(self) -> None:
        """Reserve a port. Raises OSError if none is free."""
        self._socket = _bound(0)
        self.number: int = self._socket.getsockname()[1]
        if not _can_listen(self.number):  # this system keeps it from the trial too
            self._socket.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def _bound(number: int) -> socket.socket:
    if socket.has_ipv6:
        try:
            return _bound_to(socket.AF_INET6, "::", number)
        except OSError:  # the system has no addresses of version 6
            pass
    return _bound_to(socket.AF_INET, "0.0.0.0", number)


def _bound_to(family: socket.AddressFamily, address: str, number: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((address, number))
    except OSError:
        bound.close()
        raise
    return bound


def _can_listen(number: int) -> bool:
    try:
        with closing(_bound(number)) as listening:
            listening.listen(1)
    except OSError:
        return False
    return True
