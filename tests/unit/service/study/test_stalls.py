"""A service that stood still charges nobody for it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.study.open_leases import OpenLeases
from service.study.stalls import MIN_STALL_SECONDS, StallDetector
from storage import LeaseRecord
from tests.integration.service_driver import FakeClock

TERM = 60.0
RECORD = LeaseRecord("a", 1, 2, 0, 1, "claim", "worker", datetime(2026, 1, 2, tzinfo=UTC))


class Listening:
    """A service with one clock for its leases and its beats."""

    def __init__(self, term: float = TERM) -> None:
        self.clock = FakeClock()
        self.writing_seconds = 0.0
        self.stalls = StallDetector(self.clock, term, lambda: self.writing_seconds, self.clock.monotonic)
        self.leases = OpenLeases(self.clock, term, self.stalls.listening_since)
        self.leases.add(RECORD)

    def listen(self, seconds: float) -> None:
        """Time in which the event loop runs."""
        for _ in range(round(seconds / 0.5)):
            self.stalls.beat()
            self.clock.advance(0.5)
        self.stalls.beat()


@pytest.fixture
def service() -> Listening:
    return Listening()


def test_a_silent_worker_loses_its_lease_while_the_service_listens(service: Listening) -> None:
    service.listen(TERM - 0.5)
    assert service.leases.expired() == []
    service.listen(0.5)
    assert service.leases.expired() == [RECORD]
    assert service.leases.remaining_seconds("a") == 0.0


@pytest.mark.parametrize("first", ["thread", "event loop"])
def test_after_a_stall_every_lease_has_a_fresh_term(service: Listening, first: str) -> None:
    service.listen(TERM - 0.5)
    service.clock.advance(10 * TERM)

    if first == "event loop":
        service.stalls.beat()
    assert service.leases.expired() == []
    assert service.leases.remaining_seconds("a") == TERM

    service.listen(TERM - 0.5)
    assert service.leases.expired() == []
    service.listen(0.5)
    assert service.leases.expired() == [RECORD]


def test_while_the_database_takes_long_for_a_write_nothing_ends(service: Listening) -> None:
    service.listen(TERM / 2)
    service.writing_seconds = TERM / 4 + 1
    service.listen(TERM)
    assert service.leases.expired() == []

    service.writing_seconds = TERM / 4
    service.listen(TERM - 0.5)
    assert service.leases.expired() == []
    service.listen(0.5)
    assert service.leases.expired() == [RECORD]


def test_during_a_stall_nothing_ends_however_long_it_is(service: Listening) -> None:
    service.listen(1.0)
    for _ in range(5):
        service.clock.advance(TERM)
        assert service.leases.expired() == []


def test_a_renewal_after_a_stall_counts_from_itself(service: Listening) -> None:
    service.listen(1.0)
    service.clock.advance(2 * TERM)
    service.listen(TERM / 2)
    service.leases.renew("a")
    assert service.leases.remaining_seconds("a") == TERM
    service.leases.add(replace(RECORD, lease_id="b"))
    assert service.leases.remaining_seconds("b") == TERM


@pytest.mark.parametrize(("term", "gap"), [(60.0, 15.0), (0.5, MIN_STALL_SECONDS)])
def test_a_short_delay_is_no_stall(term: float, gap: float, caplog: pytest.LogCaptureFixture) -> None:
    service = Listening(term)
    while service.clock.monotonic() < term:
        service.stalls.beat()
        service.clock.advance(gap)
    service.stalls.beat()
    assert service.leases.expired() == [RECORD]
    assert caplog.text == ""

    service.clock.advance(gap + 0.1)
    service.stalls.beat()
    assert f"the service stood still for {gap + 0.1:.1f} s: every lease gets a fresh term" in caplog.text
