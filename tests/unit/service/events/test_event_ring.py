import math
import threading
from datetime import UTC, datetime

import pytest

from service.errors import TooManyReadersError
from service.events.event_ring import EventRing
from service.events.event_stream import CHUNK_EVENTS, EventReader
from service.schemas.events import Event
from storage import Commit
from tests.server_sent_events import ServerSentEvent, parse

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def reports(n: int, study: str = "study", first: int = 0) -> list[Event]:
    return [Event("trial_reported", study, NOW, trial=0, step=step) for step in range(first, first + n)]


def read(reader: EventReader) -> list[ServerSentEvent]:
    """Everything that there is for a reader now."""
    found = parse(text) if (text := reader.read().decode()) else []
    return found + read(reader) if reader.is_behind else found


def steps(found: list[ServerSentEvent]) -> list[int]:
    return [event.data["step"] for event in found]


def test_what_a_commit_carries_is_published_in_order() -> None:
    events = EventRing()

    events.publish_commit(Commit(7, 0.01, list(reports(3))))
    events.publish_commit(Commit(7, 0.01, []))

    found = events.events_after(0, 10)
    assert found is not None
    assert [published.event.step for published in found] == [0, 1, 2]
    assert events.last_number == 3


@pytest.mark.parametrize("n", [0, 1, 4, 5, 6, 11, 50])
@pytest.mark.parametrize("capacity", [1, 5])
def test_the_ring_keeps_the_last_events(capacity: int, n: int) -> None:
    events = EventRing(capacity=capacity)
    events.publish(reports(n))

    for number in range(n + 1):
        found = events.events_after(number, 100)
        if number < n - capacity:
            assert found is None
        else:
            assert found is not None
            assert [published.event.step for published in found] == list(range(number, n))


def test_a_text_is_made_once_for_all_readers() -> None:
    events = EventRing()
    events.publish(reports(1))
    (published,) = events.events_after(0, 1) or []

    assert published.text("a-1") is published.text("a-1")


def test_an_event_is_one_block_with_numbers_that_json_carries() -> None:
    events = EventRing()
    metrics = {"a": math.nan, "b": -math.inf, "c": 1.0, "line\nbreak": 0.5}
    events.publish([Event("trial_reported", "s", NOW, trial=3, metrics=metrics, params={"p": None, "q": "日\r\n"})])

    (event,) = read(EventReader(events, None, events.id_of(0)))

    assert event.id == events.id_of(1)
    assert event.type == "trial_reported"
    assert event.data == {
        "type": "trial_reported",
        "study": "s",
        "at": "2026-01-02T03:04:05Z",
        "trial": 3,
        "metrics": {"a": "nan", "b": "-inf", "c": 1.0, "line\nbreak": 0.5},
        "params": {"p": None, "q": "日\r\n"},
    }


def test_a_new_reader_gets_what_comes_from_now_on() -> None:
    events = EventRing()
    events.publish(reports(3))
    reader = EventReader(events, None, None)
    (opening,) = parse(reader.opening().decode())

    events.publish(reports(2, first=3))

    assert (opening.id, opening.type) == (events.id_of(3), None)
    assert steps(read(reader)) == [3, 4]
    assert read(reader) == []


def test_a_reader_catches_up_chunk_by_chunk() -> None:
    events = EventRing()
    n = 2 * CHUNK_EVENTS + 7
    events.publish(reports(n))
    reader = EventReader(events, None, events.id_of(0))

    chunks = [len(parse(reader.read().decode())) for _ in range(3)]

    assert chunks == [CHUNK_EVENTS, CHUNK_EVENTS, 7]
    assert not reader.is_behind


def test_a_reader_of_one_study_gets_its_events_alone() -> None:
    events = EventRing()
    reader = EventReader(events, "mine", None)
    events.publish([event for step in range(300) for event in reports(1, "mine" if step % 3 == 0 else "other", step)])

    assert steps(read(reader)) == list(range(0, 300, 3))


def test_a_reader_that_falls_out_of_the_ring_is_told_and_goes_on_from_there() -> None:
    events = EventRing(capacity=20)
    reader = EventReader(events, None, None)
    events.publish(reports(21))

    (event,) = read(reader)

    assert event.type == "reset"
    assert event.id == events.id_of(21)
    assert events.id_of(0) in event.data["reason"]
    events.publish(reports(2, first=21))
    assert steps(read(reader)) == [21, 22]


def test_a_reset_names_the_id_that_was_asked_for_on_one_line() -> None:
    reader = EventReader(EventRing(), None, "old\nevent: fake\n\n" + "x" * 1000)

    (event,) = read(reader)

    assert event.type == "reset"
    assert "old" in event.data["reason"]
    assert len(event.text) < 300


def test_a_heartbeat_carries_the_id_to_come_back_with() -> None:
    events = EventRing(capacity=40)
    reader = EventReader(events, "mine", None)
    events.publish(reports(11, "other"))
    assert read(reader) == []
    assert reader.id_is_old, "more than a quarter of the ring has passed by"

    (beat,) = parse(reader.heartbeat().decode())

    assert (beat.id, beat.type, beat.comments) == (events.id_of(11), None, ["heartbeat"])
    assert not reader.id_is_old


def test_ids_of_another_run_are_unknown() -> None:
    events, earlier = EventRing(), EventRing()
    events.publish(reports(3))

    assert events.number_of(events.id_of(2)) == 2
    assert events.number_of(earlier.id_of(2)) is None
    assert events.number_of(events.id_of(4)) is None


def test_places_are_limited_and_given_back() -> None:
    events = EventRing(max_readers=1)
    with events.reader_slot():
        with pytest.raises(TooManyReadersError, match="1 clients read"), events.reader_slot():
            pass
        assert events.n_readers == 1
    assert events.n_readers == 0
    with events.reader_slot():
        pass


def test_nothing_is_lost_or_twice_while_another_thread_publishes() -> None:
    events = EventRing(capacity=5000)
    reader = EventReader(events, None, None)
    found: list[int] = []

    def publish() -> None:
        for step in range(5000):
            events.publish(reports(1, first=step))

    writer = threading.Thread(target=publish)
    writer.start()
    while len(found) < 5000:
        found += steps(read(reader))
    writer.join()

    assert found == list(range(5000))
