"""Fake boundaries of a worker: a service that answers from memory, and a trainer."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from service.client import Client
from service.schemas.protocol import Lease
from workers.fleet.device_group import DeviceGroup
from workers.lanes.lane_state import LaneState
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial

ONE_CPU = DeviceGroup(("cpu",))

Study = dict[str, Any]


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


def study_json(name: str) -> dict[str, Any]:
    space = {"learning_rate": {"type": "float", "low": 0.001, "high": 0.1}}
    training = {"dataset": "digits", "model": "mlp"}
    return {
        "name": name,
        "state": "running",
        "definition": {"name": name, "search_space": space, "training": training, "n_trials": 100},
        "trial_counts": dict.fromkeys(("WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"), 0),
        "best": None,
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": None,
        "finished_at": None,
        "finished_reason": None,
        "trials_per_hour": None,
    }


def artifact_json(name: str) -> dict[str, Any]:
    made = "2026-01-02T03:04:05Z"
    return {"name": name, "size_bytes": 1, "sha256": "0" * 64, "step": None, "attempt": 1, "created_at": made}


class OutOfMemoryError(RuntimeError):
    """An error with the name of torch's own, which only a GPU raises."""


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"title": "No", "status": status, "detail": f"no: {code}", "code": code})


class FakeTime:
    """A clock that only moves when it is set or when `sleep` is called."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeService:
    """Grants `n_trials` leases, answers reports by `decide`, and records every call as (path, body).

    `answers` replaces the answer of a path: each is taken once, in order.
    """

    def __init__(self, n_trials: int = 0, time: FakeTime | None = None) -> None:
        self.time = time or FakeTime()
        self.waiting = [lease_json(number) for number in range(n_trials)]
        self.decide: Callable[[str, int], str] = lambda _lease_id, _step: "continue"
        self.alive = True
        self.constraints: list[dict[str, Any]] = []
        self.answers: dict[str, list[httpx.Response | httpx.TransportError]] = {}
        self.calls: list[tuple[str, Any]] = []
        self.uploads: list[tuple[str, bytes]] = []
        """Path and content of each artifact."""

    def client(self) -> Client:
        return Client("http://service", transport=httpx.MockTransport(self))

    def paths(self) -> list[str]:
        return [path for path, _ in self.calls]

    def bodies(self, path: str) -> list[Any]:
        return [body for called, body in self.calls if called == path]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/")
        body = json.loads(request.content) if request.headers.get("Content-Type") == "application/json" else None
        self.calls.append((path, body))
        if path.startswith("artifacts/"):
            self.uploads.append((path, request.read()))
        if self.answers.get(path):
            answer = self.answers[path].pop(0)
            if isinstance(answer, httpx.TransportError):
                raise answer
            return answer
        return httpx.Response(200, json=self._answer(path, body))

    def _answer(self, path: str, body: Any) -> Any:
        if path == "claims":
            wanted = [lease for lease in self.waiting if lease["study"] not in body["except_studies"]]
            granted = wanted[: body["max_trials"]]
            if not granted:
                self.time.sleep(body["wait_seconds"])
            self.waiting = [lease for lease in self.waiting if lease not in granted]
            return {"leases": granted}
        if path.startswith("studies/"):
            study = study_json(path.removeprefix("studies/"))
            study["definition"]["constraints"] = self.constraints
            return study
        if path == "reports":
            return {"decisions": [self._decision(report) for report in body["reports"]]}
        if path == "leases/renew":
            term = 60.0 if self.alive else 0.0
            leases = [{"alive": self.alive, "expires_in_seconds": term, "lease_id": id} for id in body["lease_ids"]]
            return {"leases": leases}
        if path.startswith("artifacts/"):
            return artifact_json(path.rsplit("/")[-1])
        if path.endswith("/user-attrs"):
            return body
        return {
            "state": {"complete": "COMPLETE", "fail": "FAIL", "release": "WAITING", "pause": "WAITING"}[
                path.rsplit("/")[-1]
            ]
        }

    def _decision(self, report: Any) -> dict[str, Any]:
        lease_id, step = report["lease_id"], report["step"]
        return {"lease_id": lease_id, "step": step, "decision": self.decide(lease_id, step)}


class FakeTrainer:
    """Trains two epochs of every trial instantly. `on_step` may raise, move the clock, or wait."""

    def __init__(self, n_lanes: int = 1) -> None:
        self.n_lanes = n_lanes
        self.begun: list[str] = []
        self.kept: list[str] = []
        self.dropped: list[str] = []
        self.on_start: Callable[[LeasedTrial], None] = lambda _work: None
        self.on_step: Callable[[LeasedTrial], None] = lambda _work: None
        self.final: Callable[[], dict[str, float]] = lambda: {"validation_accuracy": 0.6}
        self.model: Callable[[], bytes] = lambda: b"a model"
        self.n_epochs = 2
        self._epochs: dict[str, int] = {}
        self._trials: dict[str, LeasedTrial] = {}

    @property
    def trials(self) -> list[LeasedTrial]:
        return list(self._trials.values())

    @property
    def n_training(self) -> int:
        return len(self._trials)

    @property
    def n_claimable(self) -> int:
        return self.n_lanes - len(self._trials)

    def n_free_within(self, seconds: float) -> int:
        return 0

    def start(self, trial: LeasedTrial, max_lanes: int | None) -> None:
        self.on_start(trial)
        self.begun.append(trial.lease_id)
        self._trials[trial.lease_id] = trial
        self._epochs[trial.lease_id] = 0 if trial.state is None else trial.state.n_epochs

    def remove(self, lease_id: str) -> LeasedTrial:
        self.dropped.append(lease_id)
        return self._trials.pop(lease_id)

    def save_state(self, trial: LeasedTrial) -> None:
        self.kept.append(trial.lease_id)
        trial.state = LaneState({}, {"epoch": self._epochs[trial.lease_id]})

    def step(self) -> list[FinishedEpoch | FailedTrial]:
        return [self._step(trial) for trial in self.trials]

    def _step(self, trial: LeasedTrial) -> FinishedEpoch | FailedTrial:
        try:
            self.on_step(trial)
        except Exception as error:  # noqa: BLE001 - any error fails the trial, as in LaneScheduler
            del self._trials[trial.lease_id]
            return FailedTrial(trial, error)
        epoch = self._epochs[trial.lease_id]
        self._epochs[trial.lease_id] += 1
        metrics = {"validation_accuracy": 0.5 + epoch / 10}
        if epoch + 1 < self.n_epochs:
            return FinishedEpoch(trial, epoch, metrics)
        del self._trials[trial.lease_id]
        return FinishedEpoch(trial, epoch, metrics, self.final(), self.model)
