"""One reader's stream, driven as a server drives it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from service.errors import TooManyReadersError
from service.events.event_ring import EventRing
from service.events.event_stream import EventStream
from tests.server_sent_events import ServerSentEvent, parse
from tests.unit.service.events.test_event_ring import reports

LONG_SECONDS = 30.0


class Peer:
    """The server's side of a stream: keeps what is sent; while `reads` is not set, a send `waits`."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.ended = False
        self.reads = asyncio.Event()
        self.reads.set()
        self.waits = asyncio.Event()
        self._gone = asyncio.Event()
        self._text = ""
        self._came = asyncio.Event()

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self.reads.is_set():
            self.waits.set()
            await self.reads.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._text += message["body"].decode()
            self.ended = not message["more_body"]
        self._came.set()

    def leave(self) -> None:
        self._gone.set()

    def blocks(self) -> list[ServerSentEvent]:
        return parse(self._text) if self._text else []

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LONG_SECONDS):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def until_step(self, step: int) -> None:
        await self.until(lambda: self.steps()[-1:] == [step])

    async def until_more_than(self, n_blocks: int) -> None:
        await self.until(lambda: len(self.blocks()) > n_blocks)

    def steps(self) -> list[int]:
        return [block.data["step"] for block in self.blocks() if block.type == "trial_reported"]


def stream(events: EventRing, study: str | None = None, last_event_id: str | None = None) -> EventStream:
    return EventStream(events, study, last_event_id, follow=True)


def run(events: EventRing, peer_does: Callable[[Peer], Awaitable[None]], reader: EventStream | None = None) -> Peer:
    """Serve a stream until it ends, while the peer does what it does."""

    async def serve() -> Peer:
        peer = Peer()
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        serving = asyncio.create_task((reader or stream(events))(scope, peer.receive, peer.send))
        async with asyncio.timeout(LONG_SECONDS):
            await peer_does(peer)
            await serving
        return peer

    return asyncio.run(serve())


def test_events_arrive_as_they_are_published_until_the_service_ends() -> None:
    events = EventRing()

    async def watch(peer: Peer) -> None:
        await peer.until(peer.blocks)
        for step in range(3):
            await asyncio.to_thread(events.publish, reports(1, first=step))
            await peer.until_step(step)
        events.close()

    peer = run(events, watch)

    assert peer.status == 200
    assert peer.steps() == [0, 1, 2]
    assert peer.ended
    assert events.n_readers == 0


def test_a_quiet_stream_has_heartbeats() -> None:
    events = EventRing(heartbeat_seconds=0.01)

    async def watch(peer: Peer) -> None:
        await peer.until(lambda: sum(block.comments == ["heartbeat"] for block in peer.blocks()) >= 3)
        peer.leave()

    assert {block.type for block in run(events, watch).blocks()} == {None}


def test_a_stream_whose_study_is_quiet_has_heartbeats_though_others_are_busy() -> None:
    events = EventRing(heartbeat_seconds=0.01)

    async def watch(peer: Peer) -> None:
        for _ in range(3):
            events.publish(reports(1, "other"))
            await peer.until_more_than(len(peer.blocks()))
        peer.leave()

    peer = run(events, watch, stream(events, "mine"))

    assert {block.type for block in peer.blocks()} == {None}
    assert peer.blocks()[-1].comments == ["heartbeat"]


def test_a_stream_ends_when_its_reader_goes_away() -> None:
    events = EventRing()

    async def watch(peer: Peer) -> None:
        await peer.until(peer.blocks)
        assert events.n_readers == 1
        peer.leave()

    assert not run(events, watch).ended
    assert events.n_readers == 0


def test_a_reader_that_takes_nothing_holds_nothing_back_and_is_told_what_it_missed() -> None:
    events = EventRing(capacity=200)

    async def watch(peer: Peer) -> None:
        await peer.until(peer.blocks)
        peer.reads.clear()
        for step in range(1000):
            events.publish(reports(1, first=step))
        await peer.waits.wait()
        for step in range(1000, 2000):
            events.publish(reports(1, first=step))
        peer.reads.set()
        await peer.until(lambda: peer.blocks()[-1].id == events.id_of(2000))
        events.publish(reports(1, first=2000))
        await peer.until_step(2000)
        peer.leave()

    peer = run(events, watch)

    kinds = [block.type for block in peer.blocks() if block.type]
    assert "reset" in kinds
    assert len(kinds) < 500


def test_a_reader_that_stalls_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    events = EventRing()

    async def watch(peer: Peer) -> None:
        await peer.until(peer.blocks)
        peer.reads.clear()
        events.publish(reports(1))

    reader = stream(events)
    reader.stall_seconds = 0.05
    with caplog.at_level(logging.WARNING):
        peer = run(events, watch, reader)

    assert not peer.ended
    assert events.n_readers == 0
    assert "is disconnected" in caplog.text


def test_a_service_that_is_ending_gives_what_there_is_and_ends_the_stream() -> None:
    events = EventRing()
    events.publish(reports(3))
    events.close()

    async def nothing(_peer: Peer) -> None:
        return

    peer = run(events, nothing, stream(events, None, events.id_of(0)))

    assert peer.steps() == [0, 1, 2]
    assert peer.ended


def test_a_stream_too_many_is_refused_before_it_begins() -> None:
    events = EventRing(max_readers=1)

    async def nothing(_peer: Peer) -> None:
        return

    with events.reader_slot(), pytest.raises(TooManyReadersError):
        run(events, nothing)
