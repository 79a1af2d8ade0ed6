"""A reserved port is given to nobody who asks for any port, and to whom it is told."""

import socket

import pytest

from workers.user_code.ranks.port import ReservedPort


def bound(number: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", number))
    return one


def test_who_knows_the_number_listens_there_again_and_again() -> None:
    port = ReservedPort()
    for _ in range(2):
        with bound(port.number) as server:
            server.listen()
            with socket.create_connection(("127.0.0.1", port.number)), server.accept()[0]:
                pass
    port.close()


def test_no_other_is_given_the_port_until_it_is_closed() -> None:
    port = ReservedPort()
    others = [ReservedPort() for _ in range(50)]
    assert len({port.number, *(other.number for other in others)}) == 51
    with socket.socket() as plain, pytest.raises(OSError):
        plain.bind(("127.0.0.1", port.number))
    for one in (port, *others):
        one.close()
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", port.number))
