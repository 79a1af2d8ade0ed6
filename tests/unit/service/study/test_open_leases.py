from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.study.open_leases import MAX_EPOCHS, OpenLeases
from storage import EpochRecord, LeaseRecord
from tests.integration.service_driver import FakeClock

TERM = 60.0
RECORD = LeaseRecord("a", 1, 2, 0, 1, "claim", "worker", datetime(2026, 1, 2, tzinfo=UTC))


def epoch(lease_id: str, step: int) -> EpochRecord:
    return EpochRecord(2, step, 1, lease_id, {"x": 1.0}, "continue")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def book(clock: FakeClock) -> OpenLeases:
    book = OpenLeases(clock, TERM)
    book.add(RECORD)
    return book


def test_a_lease_has_its_full_term(book: OpenLeases, clock: FakeClock) -> None:
    assert book.remaining_seconds("a") == TERM
    clock.advance(TERM - 0.1)
    assert book.expired() == []
    clock.advance(0.1)
    assert book.expired() == [RECORD]
    assert book.remaining_seconds("a") == 0.0
    assert book.get("a") == RECORD, "it is open until it is taken away"


def test_a_renewal_starts_the_term_again(book: OpenLeases, clock: FakeClock) -> None:
    clock.advance(TERM - 1)
    book.renew("a")

    clock.advance(TERM - 1)

    assert book.remaining_seconds("a") == 1.0


def test_a_lease_that_has_ended_is_gone(book: OpenLeases) -> None:
    book.remove("a")
    book.remove("a")

    assert (len(book), list(book), book.get("a"), book.remaining_seconds("a")) == (0, [], None, 0.0)
    assert book.epoch("a", 0) is None


def test_a_lease_remembers_its_own_reports_alone(book: OpenLeases) -> None:
    other = replace(RECORD, lease_id="b")
    book.add(other, [epoch("a", 0), epoch("b", 1)])
    book.add_epoch(epoch("b", 2))

    assert [book.epoch("b", step) for step in range(4)] == [None, epoch("b", 1), epoch("b", 2), None]
    assert book.epoch("a", 0) is None


def test_only_the_newest_reports_of_a_lease_are_remembered(book: OpenLeases) -> None:
    for step in range(3 * MAX_EPOCHS):
        book.add_epoch(epoch("a", step))

    kept = [step for step in range(3 * MAX_EPOCHS) if book.epoch("a", step) is not None]
    assert kept == list(range(2 * MAX_EPOCHS, 3 * MAX_EPOCHS))
    known = [step for step in range(4 * MAX_EPOCHS) if book.knows("a", step)]
    assert known == list(range(2 * MAX_EPOCHS, 4 * MAX_EPOCHS)), "later steps are known to be new"
    assert not book.knows("b", 0)


def test_leases_can_be_taken_away_while_they_are_listed(book: OpenLeases) -> None:
    book.add(replace(RECORD, lease_id="b"))

    for lease in book:
        book.remove(lease.lease_id)

    assert len(book) == 0
