"""Boundaries of a worker, as objects that are passed in: a service that answers from memory, and a trainer."""

import json
from collections.abc import Callable
from threading import Event
from typing import Any

import httpx

from service.client import Client
from service.schemas.data import Dataset
from service.schemas.protocol import Lease

Metrics = dict[str, float]


def lease_json(number: int = 0, expires_in_seconds: float = 60.0) -> dict[str, Any]:
    return {
        "lease_id": f"lease-{number}",
        "study": "digits",
        "trial_number": number,
        "attempt": 1,
        "params": {"learning_rate": 0.01},
        "training": {"dataset": "digits", "model": "mlp", "learning_rate": 0.01},
        "seed": 7,
        "resume": None,
        "expires_in_seconds": expires_in_seconds,
    }


def lease(number: int = 0, expires_in_seconds: float = 60.0) -> Lease:
    return Lease.model_validate(lease_json(number, expires_in_seconds))


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"title": "No", "status": status, "detail": f"no: {code}", "code": code})


class FakeTime:
    """A clock that stands still unless it is moved, and waits that move it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeService:
    """Grants `n_trials` leases one by one, answers reports by `decide`, and keeps every call as (path, body).

    `answers` replaces the answer of a path: each is taken once, in order.
    """

    def __init__(self, n_trials: int = 0, time: FakeTime | None = None) -> None:
        self.time = time or FakeTime()
        self.waiting = [lease_json(number) for number in range(n_trials)]
        self.decide: Callable[[str, int], str] = lambda _lease_id, _step: "continue"
        self.alive = True
        self.answers: dict[str, list[httpx.Response | httpx.TransportError]] = {}
        self.calls: list[tuple[str, Any]] = []

    def client(self) -> Client:
        return Client("http://service", transport=httpx.MockTransport(self))

    def paths(self) -> list[str]:
        return [path for path, _ in self.calls]

    def bodies(self, path: str) -> list[Any]:
        return [body for called, body in self.calls if called == path]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/")
        body = json.loads(request.content) if request.content else None
        self.calls.append((path, body))
        if self.answers.get(path):
            answer = self.answers[path].pop(0)
            if isinstance(answer, httpx.TransportError):
                raise answer
            return answer
        return httpx.Response(200, json=self._answer(path, body))

    def _answer(self, path: str, body: Any) -> Any:
        if path == "claims":
            if not self.waiting:
                self.time.sleep(body["wait_seconds"])
            return {"leases": [self.waiting.pop(0)] if self.waiting else []}
        if path == "reports":
            return {"decisions": [self._decision(report) for report in body["reports"]]}
        if path == "leases/renew":
            term = 60.0 if self.alive else 0.0
            leases = [{"alive": self.alive, "expires_in_seconds": term, "lease_id": id} for id in body["lease_ids"]]
            return {"leases": leases}
        return {"state": {"complete": "COMPLETE", "fail": "FAIL", "release": "WAITING"}[path.rsplit("/")[-1]]}

    def _decision(self, report: Any) -> dict[str, Any]:
        lease_id, step = report["lease_id"], report["step"]
        return {"lease_id": lease_id, "step": step, "decision": self.decide(lease_id, step)}


class FakeTrainer:
    """Trains two epochs in no time; `on_train` may raise, move the clock, or wait."""

    def __init__(self, on_train: Callable[[Lease, Callable[[], bool]], None] | None = None) -> None:
        self.prepared: list[str] = []
        self.on_train = on_train or (lambda _lease, _should_stop: None)

    def prepare(self, dataset: Dataset) -> str:
        self.prepared.append(dataset.name)
        return dataset.name

    def train(
        self, lease: Lease, data: str, report: Callable[[int, Metrics], None], should_stop: Callable[[], bool]
    ) -> Metrics | None:
        assert data == lease.training.dataset.name
        for step in range(2):
            report(step, {"validation_accuracy": 0.5 + step / 10})
        self.on_train(lease, should_stop)
        return None if should_stop() else {"validation_accuracy": 0.6}


def until(condition: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
    """Wait for another thread."""
    never = Event()
    for _ in range(int(timeout_seconds / 0.001)):
        if condition():
            return
        never.wait(0.001)
    raise AssertionError("waited in vain")
