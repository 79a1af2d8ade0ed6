"""Streams events as server-sent events (HTML standard, section 9.2) to one reader."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.events.event_ring import EventRing

log = logging.getLogger(__name__)

EVENTS_PATH = "/v1/events"
CHUNK_EVENTS = 100
GATHER_SECONDS = 0.05
"""Events are collected for this long and sent together, so a stream is written to at most twenty times a second."""
STALL_SECONDS = 60.0
"""A reader that accepts no data for this long is disconnected, so that its slot is free for others."""
RECONNECT_MILLISECONDS = 2000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventReader:
    """One reader's position in the ring. It renders the events from there on."""

    def __init__(self, events: EventRing, study: str | None, last_event_id: str | None) -> None:
        """Start after an event id, or at the newest event without one. With `study`, read only its events."""
        self._events = events
        self._study = study
        self._last_event_id = last_event_id
        number = events.last_number if last_event_id is None else events.number_of(last_event_id)
        self._is_lost = number is None
        self._position = self._last_sent = events.last_number if number is None else number
        self.is_behind = True

    def opening(self) -> bytes:
        """The first text of a stream: the reconnection delay, and the current event id for a reader that sent none."""
        opening = b"retry: %d\n" % RECONNECT_MILLISECONDS
        return opening + (self._id_line() if self._last_event_id is None else b"") + b"\n"

    def read(self) -> bytes:
        """The next events, empty if there are none for this reader. If some have left the ring, a `reset` event."""
        events = None if self._is_lost else self._events.events_after(self._position, CHUNK_EVENTS)
        if events is None:
            return self._reset()
        first = self._position + 1
        self._position += len(events)
        self.is_behind = len(events) == CHUNK_EVENTS
        texts = [
            published.text(self._events.id_of(number))
            for number, published in enumerate(events, first)
            if self._study in (None, published.event.study)
        ]
        if texts:
            self._last_sent = self._position
        return b"".join(texts)

    def _reset(self) -> bytes:
        last = (
            self._last_event_id[:100] if self._last_event_id and self._is_lost else self._events.id_of(self._last_sent)
        )
        self._position = self._last_sent = self._events.last_number
        self._is_lost = self.is_behind = False
        data = json.dumps({"reason": f"the events after {last} are no longer kept: load the state again"})
        return b"event: reset\n%bdata: %b\n\n" % (self._id_line(), data.encode())

    @property
    def id_is_old(self) -> bool:
        """Whether the id that the reader has will soon leave the ring, because its study had no event for long."""
        return self._position - self._last_sent > self._events.capacity // 4

    def heartbeat(self) -> bytes:
        """A comment that keeps the connection open, with the current event id."""
        self._last_sent = self._position
        return b": heartbeat\n" + self._id_line() + b"\n"

    def _id_line(self) -> bytes:
        return b"id: %b\n" % self._events.id_of(self._position).encode()


class EventStream(StreamingResponse):
    """The response that streams events to one reader.

    Raises TooManyReadersError before the response starts if no reader slot is free.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: EventRing,
        study: str | None,
        last_event_id: str | None,
        *,
        follow: bool,
        is_allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_allowed` is asked before every chunk; the stream ends when it returns False."""
        self._events = events
        self._is_allowed = is_allowed
        self._reader = EventReader(events, study, last_event_id)
        self._follow = follow
        self.stall_seconds = STALL_SECONDS
        super().__init__(self._chunks(), headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Occupy a reader slot and stream until the client leaves or the stream ends."""
        with self._events.reader_slot():
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the chunks, and disconnect a reader that stalls for `stall_seconds`."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self.stall_seconds):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            log.warning(
                "a reader of the event stream accepted no data for %g s and is disconnected", self.stall_seconds
            )

    async def _chunks(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        reader, signal = self._reader, self._events.signal
        yield reader.opening()
        due = loop.time() + self._events.heartbeat_seconds
        while True:
            ticket = signal.ticket()
            if not self._is_allowed():
                return
            text = reader.read()
            if not text and (loop.time() >= due or reader.id_is_old or not self._follow):
                text = reader.heartbeat()
            if text:
                yield text
                due = loop.time() + self._events.heartbeat_seconds
            if reader.is_behind:
                await asyncio.sleep(0)  # a send may return without yielding to other tasks
            elif not self._follow or signal.closed:
                return
            else:
                await signal.wait(ticket, max(0.0, due - loop.time()))
                await asyncio.sleep(GATHER_SECONDS)
