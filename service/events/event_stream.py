"""Events as server-sent events (the HTML standard, section 9.2): what one reader gets, and when."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.events.event_ring import EventRing

log = logging.getLogger(__name__)

PATH = "/v1/events"
CHUNK_EVENTS = 100
GATHER_SECONDS = 0.05
"""How long events gather before they go out together: a stream is written to twenty times a second at most."""
STALL_SECONDS = 60.0
"""A reader that takes nothing for so long is cut off, as others may want its place."""
RECONNECT_MILLISECONDS = 2000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventReader:
    """One reader's position in the ring, and the text that follows it."""

    def __init__(self, events: EventRing, study: str | None, last_event_id: str | None) -> None:
        """Go on after an id, or with what comes from now on; with a study, leave the events of others out."""
        self._events = events
        self._study = study
        self._asked = last_event_id
        known = events.last if last_event_id is None else events.number_of(last_event_id)
        self._is_lost = known is None
        self._position = self._told = events.last if known is None else known
        self.is_behind = True

    def opening(self) -> bytes:
        """How soon to come back, and the id to come back with when nothing happens until then."""
        opening = b"retry: %d\n" % RECONNECT_MILLISECONDS
        return opening + (self._id_line() if self._asked is None else b"") + b"\n"

    def read(self) -> bytes:
        """The next events; empty when there are none for this reader. When some are lost, it is told to reset."""
        found = None if self._is_lost else self._events.after(self._position, CHUNK_EVENTS)
        if found is None:
            return self._reset()
        first = self._position + 1
        self._position += len(found)
        self.is_behind = len(found) == CHUNK_EVENTS
        texts = [
            published.text(self._events.id_of(number))
            for number, published in enumerate(found, first)
            if self._study in (None, published.event.study)
        ]
        if texts:
            self._told = self._position
        return b"".join(texts)

    def _reset(self) -> bytes:
        last = self._asked[:100] if self._asked and self._is_lost else self._events.id_of(self._told)
        self._position = self._told = self._events.last
        self._is_lost = self.is_behind = False
        data = json.dumps({"reason": f"the events after {last} are no longer kept: load the state again"})
        return b"event: reset\n%bdata: %b\n\n" % (self._id_line(), data.encode())

    @property
    def id_is_old(self) -> bool:
        """Whether the reader's last id will soon be out of the ring, for want of events of its study."""
        return self._position - self._told > self._events.capacity // 4

    def heartbeat(self) -> bytes:
        """A comment, and the id to come back with."""
        self._told = self._position
        return b": heartbeat\n" + self._id_line() + b"\n"

    def _id_line(self) -> bytes:
        return b"id: %b\n" % self._events.id_of(self._position).encode()


class EventStream(StreamingResponse):
    """The stream of one reader. Raises TooManyReadersError before it has begun."""

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
        """The stream ends when it `is_allowed` no longer: before the next event, or at the next heartbeat."""
        self._events = events
        self._is_allowed = is_allowed
        self._reader = EventReader(events, study, last_event_id)
        self._follow = follow
        self.stall_seconds = STALL_SECONDS
        super().__init__(self._chunks(), headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._events.reading():
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self.stall_seconds):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            log.warning("a reader of events took nothing for %g s and is cut off", self.stall_seconds)

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
                await asyncio.sleep(0)  # a send may return without having given way to others
            elif not self._follow or signal.closed:
                return
            else:
                await signal.wait(ticket, max(0.0, due - loop.time()))
                await asyncio.sleep(GATHER_SECONDS)
