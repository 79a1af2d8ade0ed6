"""Keeps the latest events of this run of the service in a ring buffer that all readers share."""

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from service.errors import TooManyReadersError
from service.events.work_signal import WorkSignal
from service.schemas.events import EVENT, Event
from storage import Commit

CAPACITY = 10_000
MAX_READERS = 100
HEARTBEAT_SECONDS = 15.0


class PublishedEvent:
    """An event in the ring. Its text is rendered for the first reader and shared by all."""

    __slots__ = ("_text", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._text: bytes | None = None

    def text(self, event_id: str) -> bytes:
        """The event in the format of server-sent events."""
        if self._text is None:
            data = EVENT.dump_json(self.event, exclude_none=True, warnings=False)
            self._text = b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), self.event.type.encode(), data)
        return self._text


class EventRing:
    """Receives events from the writer thread, keeps the last `capacity` of them and wakes waiting readers.

    An event's id is `<run>-<number>`: numbers count from 1, and each start of the service has a new random run name.
    """

    def __init__(
        self,
        *,
        capacity: int = CAPACITY,
        max_readers: int = MAX_READERS,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.capacity = capacity
        self.heartbeat_seconds = heartbeat_seconds
        self.n_readers = 0
        self.last_number = 0
        self.signal = WorkSignal()
        self._max_readers = max_readers
        self._run = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._ring: list[PublishedEvent | None] = [None] * capacity

    def publish_commit(self, commit: Commit) -> None:
        """Publish the events of a commit in the order in which they happened."""
        if commit.notes:
            self.publish(commit.notes)

    def publish(self, events: Sequence[Event]) -> None:
        """Add events to the ring and wake the readers."""
        with self._lock:
            for event in events:
                self.last_number += 1
                self._ring[self.last_number % self.capacity] = PublishedEvent(event)
        self.signal.notify()

    def id_of(self, number: int) -> str:
        """The id of the event with this number."""
        return f"{self._run}-{number}"

    def number_of(self, event_id: str) -> int | None:
        """The number of an event id, or None for an id that is malformed or of another run."""
        run, _, digits = event_id.partition("-")
        if run != self._run or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        number = int(digits)
        return number if number <= self.last_number else None

    def events_after(self, number: int, limit: int) -> list[PublishedEvent] | None:
        """Up to `limit` events after event `number`, oldest first; None if some of them have left the ring."""
        with self._lock:
            if number < self.last_number - self.capacity:
                return None
            numbers = range(number + 1, min(self.last_number, number + limit) + 1)
            return [event for at in numbers if (event := self._ring[at % self.capacity]) is not None]

    @contextmanager
    def reader_slot(self) -> Iterator[None]:
        """Occupy one of the `max_readers` reader slots. Raises TooManyReadersError."""
        if self.n_readers >= self._max_readers:
            raise TooManyReadersError(f"{self._max_readers} clients read the events already, the maximum")
        self.n_readers += 1
        try:
            yield
        finally:
            self.n_readers -= 1

    def close(self) -> None:
        """End current and future streams, because the service is shutting down."""
        self.signal.close()
