"""Claims that wait for work, and the workers that make them."""

import threading
import time
from datetime import datetime

import pytest

from tests.integration.service_driver import LEASE_SECONDS, Json, Service
from tests.waiting import PATIENCE_SECONDS, until

WAIT_SECONDS = 30.0
"""The longest wait that a claim may ask for."""


def test_a_claim_without_work_is_answered_when_its_wait_is_over(service: Service) -> None:
    name = service.create()
    service.change(name, state="paused")
    started = time.monotonic()

    assert service.claim(name, wait_seconds=0.3) == []

    assert 0.25 <= time.monotonic() - started < PATIENCE_SECONDS


@pytest.mark.parametrize("wake", ["create", "resume", "extend", "enqueue", "release", "expire"])
def test_a_waiting_claim_wakes_when_there_is_work(sqlite_service: Service, wake: str) -> None:
    service = sqlite_service
    name = service.create(n_trials=1)
    lease: Json = {}
    if wake in ("release", "expire", "extend"):
        lease = service.claim_one(name)
    else:
        service.change(name, state="paused")
    got: list[Json] = []
    waiting = threading.Thread(
        target=lambda: got.extend(service.claim(None, worker="waiting", wait_seconds=WAIT_SECONDS))
    )
    waiting.start()
    until(lambda: any(worker["id"] == "waiting" for worker in service.get("/workers")["workers"]))
    started = time.monotonic()

    match wake:
        case "create":
            service.create()
        case "resume":
            service.change(name, state="running")
        case "extend":
            service.change(name, n_trials=2)
        case "enqueue":
            assert service.http.post(f"/v1/studies/{service.create()}/trials", json={"params": {}}).status_code == 201
        case "release":
            service.release(lease)
        case "expire":
            service.clock.advance(LEASE_SECONDS + 1)
            service.tick()
    waiting.join(PATIENCE_SECONDS)

    assert len(got) == 1
    assert time.monotonic() - started < WAIT_SECONDS - 1.0


def test_waiting_claims_end_at_once_when_the_service_shuts_down(sqlite_service: Service) -> None:
    got: list[list[Json]] = []
    waiting = threading.Thread(
        target=lambda: got.append(sqlite_service.claim(None, worker="w", wait_seconds=WAIT_SECONDS))
    )
    waiting.start()
    until(lambda: sqlite_service.get("/workers")["workers"])
    started = time.monotonic()

    sqlite_service.app.state.registry.waiting_claims.close()
    waiting.join(PATIENCE_SECONDS)

    assert got == [[]]
    assert time.monotonic() - started < WAIT_SECONDS - 1.0


def test_workers_are_listed_with_what_they_run(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=9)
    body = {"claim_id": "c1", "worker": {"id": "lab/0", "host": "lab", "device": "cuda:0", "n_lanes": 4}}
    service.http.post("/v1/claims", json={**body, "study": name, "max_trials": 3})
    service.clock.advance(10)
    service.claim(name, worker="idle", max_trials=1)
    service.clock.advance(10)
    service.http.post("/v1/claims", json={"claim_id": "c2", "worker": {"id": "newest"}, "study": name})

    newest, idle, lab = service.get("/workers")["workers"]

    assert [worker["id"] for worker in (newest, idle, lab)] == ["newest", "idle", "lab/0"]
    assert (lab["host"], lab["device"], lab["n_lanes"], lab["trials_running"]) == ("lab", "cuda:0", 4, 3)
    assert lab["first_seen_at"] == lab["last_seen_at"]

    service.http.post("/v1/claims", json={**body, "claim_id": "c3", "study": name})
    first, *_ = service.get("/workers")["workers"]
    assert first["id"] == "lab/0"
    assert first["first_seen_at"] < first["last_seen_at"]


@pytest.mark.parametrize("call", ["report", "renew", "upload", "complete", "fail", "release"])
def test_a_worker_was_seen_when_it_called_with_a_lease(sqlite_service: Service, call: str) -> None:
    service = sqlite_service
    lease = service.claim_one(service.create())
    claimed_at = service.clock.now()
    service.clock.advance(10)
    service.claim(None, worker="newer")
    service.clock.advance(10)

    match call:
        case "report":
            service.report(lease, 0)
        case "renew":
            service.http.post("/v1/leases/renew", json={"lease_ids": [lease["lease_id"]]})
        case "upload":
            service.upload(lease, "log", b"text")
        case "complete":
            service.complete(lease)
        case "fail":
            service.fail(lease)
        case "release":
            service.release(lease)
    service.clock.advance(10)

    assert last_seen(service, claimed_at) == [("worker", 20.0), ("newer", 10.0)]
    service.restart()
    assert last_seen(service, claimed_at) == [("newer", 10.0), ("worker", 0.0)]


def last_seen(service: Service, since: datetime) -> list[tuple[str, float]]:
    """Ids, and when each was seen in seconds from then on."""
    moments = {one["id"]: datetime.fromisoformat(one["last_seen_at"]) for one in service.get("/workers")["workers"]}
    return [(worker_id, (moment - since).total_seconds()) for worker_id, moment in moments.items()]


def test_the_versions_of_a_worker_are_those_of_its_last_claim(sqlite_service: Service) -> None:
    service = sqlite_service
    name = service.create(n_trials=9)

    def claim(claim_id: str, study: str | None, **versions: str) -> None:
        worker = {"id": "lab/0", **versions}
        claimed = service.http.post("/v1/claims", json={"claim_id": claim_id, "worker": worker, "study": study})
        assert claimed.status_code == 200, claimed.text

    def versions() -> list[str | None]:
        (worker,) = service.get("/workers")["workers"]
        return [worker["narrows_version"], worker["torch_version"]]

    claim("c1", name)
    assert versions() == [None, None], "an older worker says nothing"
    claim("c2", name, narrows_version="0.1.0", torch_version="2.15.0+cu130")
    assert versions() == ["0.1.0", "2.15.0+cu130"]
    service.restart()
    assert versions() == ["0.1.0", "2.15.0+cu130"]
    service.http.post(f"/v1/studies/{name}/pause")
    claim("c3", None, narrows_version="0.2.0", torch_version="2.16.0")
    assert versions() == ["0.2.0", "2.16.0"], "a claim without a trial counts too"


def test_a_worker_that_finds_no_work_is_listed_too(sqlite_service: Service) -> None:
    assert sqlite_service.claim(None, worker="bored") == []

    (worker,) = sqlite_service.get("/workers")["workers"]
    assert (worker["id"], worker["trials_running"]) == ("bored", 0)
