"""The last events of this run of the service, in one ring that every reader goes through at its own pace."""

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


class Published:
    """An event in the ring. Its text is made when the first reader asks, and then shared."""

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
    """Takes events in from the thread that writes, keeps the last `capacity`, and wakes those who wait for more.

    An event's id is `<run>-<number>`: numbers count from 1, and another run of the service has another name.
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
        self.last = 0
        self.signal = WorkSignal()
        self._max_readers = max_readers
        self._run = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._ring: list[Published | None] = [None] * capacity

    def committed(self, commit: Commit) -> None:
        """Publish the events of a commit, in the order in which they happened."""
        if commit.notes:
            self.publish(commit.notes)

    def publish(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self.last += 1
                self._ring[self.last % self.capacity] = Published(event)
        self.signal.notify()

    def id_of(self, number: int) -> str:
        return f"{self._run}-{number}"

    def number_of(self, event_id: str) -> int | None:
        """The number in an id, or None when it is none of this run's."""
        run, _, digits = event_id.partition("-")
        if run != self._run or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        number = int(digits)
        return number if number <= self.last else None

    def after(self, number: int, limit: int) -> list[Published] | None:
        """The events that follow one, oldest first; None when some of them are no longer here."""
        with self._lock:
            if number < self.last - self.capacity:
                return None
            wanted = range(number + 1, min(self.last, number + limit) + 1)
            return [found for at in wanted if (found := self._ring[at % self.capacity]) is not None]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Take one of the places there are for readers. Raises TooManyReadersError."""
        if self.n_readers >= self._max_readers:
            raise TooManyReadersError(
                f"{self._max_readers} clients read the events already, which is the most there may be"
            )
        self.n_readers += 1
        try:
            yield
        finally:
            self.n_readers -= 1

    def close(self) -> None:
        """End all streams, now and later: the service is shutting down."""
        self.signal.close()
