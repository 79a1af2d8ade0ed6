"""The event stream of a real service, over sockets: resuming, reading slowly, heartbeats, the service's end."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from service.client import Client
from service.events.event_ring import EventRing
from service.schemas.protocol import Claim, Report, Reports
from service.schemas.worker_info import WorkerInfo
from service.web.app import create_app
from storage import Store
from tests.acceptance.event_client import EventClient
from tests.conftest import ServiceProcess, StartService
from tests.integration.service_driver import definition
from tests.waiting import PATIENCE_SECONDS, until

GRACE_IS_OVER = "timeout graceful shutdown exceeded"
"""What the server logs when its end had to wait for a connection until the time for that was over."""
N_EVENTS = 5000
BATCH = 100
MEMORY_BYTES = 64 * 1024 * 1024
METRICS = {"validation_accuracy": 0.5} | {f"loss_of_the_layer_{layer}": 0.25 for layer in range(50)}
"""So many that 5,000 events, 8 MB, are more than the kernel's buffers of two sockets hold: a writer has to wait."""


@pytest.fixture
def service(service_process: StartService) -> ServiceProcess:
    return service_process()


def claim(client: Client, study: str) -> str:
    """Make a study, take a trial of it, and answer the lease's id."""
    client.create_study(definition(name=study))
    worker = WorkerInfo(id="worker")
    (lease,) = client.claim(Claim(claim_id=f"claim-{study}", worker=worker, study=study)).leases
    return lease.lease_id


def report(client: Client, lease_id: str, first: int, n: int = 1) -> None:
    steps = range(first, first + n)
    client.report(Reports(reports=[Report(lease_id=lease_id, step=step, metrics=METRICS) for step in steps]))


def resident_bytes(service: ServiceProcess) -> int:
    pages = Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def test_a_client_that_lost_its_connection_goes_on_where_it_was(service: ServiceProcess) -> None:
    with Client(service.url) as client:
        with EventClient(service.url) as stream:
            stream.open()
            lease_id = claim(client, "mine")
            report(client, lease_id, 0, 10)
            seen = stream.take(8)
        assert [event.type for event in seen[:4]] == [
            "study_created",
            "trial_created",
            "trial_started",
            "trial_reported",
        ]
        report(client, lease_id, 10, 10)

        with EventClient(service.url, last_event_id=seen[-1].id, study="mine") as stream:
            more = stream.open().take(15)
            report(client, lease_id, 20)
            more += stream.take(1)

    steps = [event.data["step"] for event in (*seen, *more) if event.type == "trial_reported"]
    assert steps == list(range(21))
    numbers = [int(str(event.id).rpartition("-")[2]) for event in (*seen, *more)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_client_that_connects_and_hears_nothing_can_resume_too(service: ServiceProcess) -> None:
    with Client(service.url) as client:
        with EventClient(service.url) as stream:
            start = stream.open().opening.id
        claim(client, "mine")
        with EventClient(service.url, last_event_id=start) as stream:
            assert [event.type for event in stream.open().take(2)] == ["study_created", "trial_created"]


def test_a_reader_that_reads_nothing_slows_nobody_and_costs_little(service: ServiceProcess) -> None:
    with Client(service.url) as client, EventClient(service.url, receive_buffer=4096) as slow:
        slow.open()
        lease_id = claim(client, "mine")
        report(client, lease_id, 0, BATCH)
        before = resident_bytes(service)
        with EventClient(service.url, study="mine") as quick:
            quick.open()
            slowest = 0.0
            for first in range(BATCH, BATCH + N_EVENTS, BATCH):
                started = time.monotonic()
                report(client, lease_id, first, BATCH)
                assert client.study("mine").state == "running"
                slowest = max(slowest, time.monotonic() - started)
            steps = [event.data["step"] for event in quick.take(N_EVENTS)]
        after = resident_bytes(service)
        print(f"slowest pair of calls {slowest * 1000:.0f} ms, {(after - before) / 2**20:.1f} MiB more")

        assert steps == list(range(BATCH, BATCH + N_EVENTS))
        assert slowest < 10, "seconds for 100 reports and a study beside them"
        assert after - before < MEMORY_BYTES
        late = [event.data["step"] for event in slow.take(3 + BATCH + N_EVENTS)[3:]]
        assert late == list(range(BATCH + N_EVENTS)), "what the slow one then reads is whole, as the ring still has it"


def test_streams_end_at_once_with_the_service_and_a_client_is_sent_back_by_the_next_one(
    service_process: StartService, free_port: int
) -> None:
    service = service_process("--port", str(free_port))
    with Client(service.url) as client, EventClient(service.url) as stream, EventClient(service.url) as other:
        stream.open()
        other.open()
        lease_id = claim(client, "mine")
        last = stream.take(3)[-1]
        assert service.stop() == 0
        assert GRACE_IS_OVER not in service.log.read_text()
        assert list(stream.events()) == []
        assert len(list(other.events())) == 3
        assert stream.ended
        assert other.ended, "the last chunk has come, not a broken line"

        again = service_process("--port", str(free_port))
        with EventClient(again.url, last_event_id=last.id) as stream:
            (reset,) = stream.open().take(1)
            assert reset.type == "reset"
            report(client, lease_id, 0)
            (reported,) = stream.take(1)
    assert reported.type == "trial_reported"
    assert str(reported.id).partition("-")[0] == str(reset.id).partition("-")[0] != str(last.id).partition("-")[0]


def test_a_reader_that_reads_nothing_does_not_hold_up_the_services_end(service: ServiceProcess) -> None:
    with Client(service.url) as client, EventClient(service.url, receive_buffer=4096) as slow:
        slow.open()
        lease_id = claim(client, "mine")
        for first in range(0, N_EVENTS, BATCH):
            report(client, lease_id, first, BATCH)
        assert service.stop() == 0
        assert GRACE_IS_OVER not in service.log.read_text()


def test_after_a_crash_the_client_is_sent_back(service_process: StartService) -> None:
    service = service_process(expect_exit=None)
    with Client(service.url) as client, EventClient(service.url) as stream:
        stream.open()
        claim(client, "mine")
        last = stream.take(3)[-1]
        service.kill()
    again = service_process()
    with EventClient(again.url, last_event_id=last.id) as stream:
        assert [event.type for event in stream.open().take(1)] == ["reset"]


class Small:
    """A service in this process, on a socket, with an event stream of other measures than `narrows serve` has."""

    def __init__(self, store: Store, events: EventRing) -> None:
        config = uvicorn.Config(create_app(store, stream=events), port=0, log_config=None, lifespan="on")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=(self._server.serve(),))
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def events() -> EventRing:
    return EventRing(capacity=500, max_readers=3, heartbeat_seconds=0.2)


@pytest.fixture
def small(tmp_path: Path, events: EventRing) -> Iterator[Small]:
    store = Store.open(f"sqlite:///{tmp_path / 'narrows.db'}")
    service = Small(store, events)
    yield service
    events.close()
    service.close()
    store.close()


def test_a_quiet_stream_is_kept_alive(small: Small) -> None:
    with EventClient(small.url) as stream:
        comments = stream.open().comments()
        assert [next(comments) for _ in range(3)] == ["heartbeat"] * 3


def test_a_slow_reader_that_falls_out_of_the_ring_is_told(small: Small) -> None:
    with Client(small.url) as client, EventClient(small.url, receive_buffer=4096) as slow:
        slow.open()
        lease_id = claim(client, "mine")
        for first in range(0, N_EVENTS, BATCH):
            report(client, lease_id, first, BATCH)
        kinds = []
        for event in slow.events():
            kinds.append(event.type)
            if event.type == "reset":
                break
        assert len(kinds) < N_EVENTS
        report(client, lease_id, N_EVENTS)
        steps = (event.data["step"] for event in slow.events() if event.type == "trial_reported")
        assert N_EVENTS in steps


def test_a_reader_too_many_is_told_to_come_later_and_gets_a_place_when_one_is_free(small: Small) -> None:
    readers = [EventClient(small.url).open() for _ in range(3)]

    refused = httpx.get(f"{small.url}/v1/events", trust_env=False, timeout=PATIENCE_SECONDS)
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_readers")
    assert refused.headers["retry-after"] == "10"
    assert refused.headers["content-type"] == "application/problem+json"

    readers.pop().__exit__(None, None, None)
    url = f"{small.url}/v1/events?follow=false"
    until(
        lambda: httpx.get(url, trust_env=False, timeout=PATIENCE_SECONDS).status_code == 200,
        "a reader that has gone leaves its place",
    )
    for reader in readers:
        reader.__exit__(None, None, None)
