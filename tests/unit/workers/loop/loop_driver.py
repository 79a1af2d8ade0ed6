"""A worker's loop with its boundaries, for tests."""

from collections.abc import Callable
from threading import Event
from typing import Any

from service.schemas.worker_info import WorkerInfo
from tests.unit.workers.fakes import ONE_CPU, FakeService, FakeTime, FakeTrainer
from workers.fleet.stopping import Stopping
from workers.loop.loop import Loop
from workers.scheduling.leased_trial import LeasedTrial

ENDS = ("complete", "fail", "release", "pause", "prune")


class PatientStopping(Stopping):
    """Waits without taking time, but lets other threads run."""

    def __init__(self, time: FakeTime) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._time = time

    def wait(self, seconds: float) -> None:
        if seconds >= 1.0:
            self.waited.append(seconds)
            self._time.sleep(seconds)
        else:
            Event().wait(0.001)


class Worker:
    """A loop with fake boundaries, which ends when there is no trial."""

    def __init__(
        self, n_trials: int = 1, n_lanes: int = 1, on_step: Callable[[LeasedTrial], None] | None = None
    ) -> None:
        self.time = FakeTime()
        self.service = FakeService(n_trials, self.time)
        self.trainer = FakeTrainer(n_lanes)
        if on_step is not None:
            self.trainer.on_step = on_step
        self.stopping = PatientStopping(self.time)

    def run(self, study: str | None = None, exit_when_idle_seconds: float = 0.0, **options: Any) -> None:
        with self.service.client() as client:
            loop = Loop(
                client,
                WorkerInfo(id="host/1/cpu", host="host", device="cpu"),
                ONE_CPU,
                self.trainer,
                self.stopping,
                study=study,
                exit_when_idle_seconds=exit_when_idle_seconds,
                clock=self.time,
                **{"keep_models": "none", **options},
            )
            loop.run()

    def outcomes(self) -> list[tuple[str, Any]]:
        return [(path, body) for path, body in self.service.calls if path.rsplit("/")[-1] in ENDS]

    def ended(self) -> list[str]:
        return [path for path, _ in self.outcomes()]

    def reports(self) -> list[tuple[str, int]]:
        bodies = self.service.bodies("reports")
        return [(report["lease_id"], report["step"]) for body in bodies for report in body["reports"]]


def raising(error: Exception) -> Callable[[LeasedTrial], None]:
    def on_step(_work: LeasedTrial) -> None:
        raise error

    return on_step
