"""A worker at a rung waits for the decision, then pauses the trial or trains on from exactly that state."""

from tests.unit.workers.loop.loop_driver import Worker
from workers.scheduling.leased_trial import LeasedTrial

PAUSED = ["artifacts/lease-0/checkpoint", "leases/lease-0/pause"]


def worker_with_rungs(n_trials: int = 1, n_lanes: int = 1, rung_steps: tuple[int, ...] = (0,)) -> Worker:
    worker = Worker(n_trials=n_trials, n_lanes=n_lanes)
    for lease in worker.service.waiting:
        lease["rung_steps"] = list(rung_steps)
    worker.trainer.n_epochs = 3
    return worker


def test_a_trial_that_pauses_is_checkpointed_at_its_rung_and_released() -> None:
    worker = worker_with_rungs()
    worker.service.decide = lambda _lease_id, _step: "pause"
    worker.run()

    assert worker.reports() == [("lease-0", 0)], "not an epoch was trained beyond the rung"
    assert [path for path in worker.service.paths() if path in PAUSED] == PAUSED
    assert worker.trainer.dropped == ["lease-0"]


def test_a_trial_that_may_continue_trains_on_from_its_rung() -> None:
    worker = worker_with_rungs(rung_steps=(0, 1))
    states: list[int] = []

    def note(trial: LeasedTrial) -> None:
        states.append(0 if trial.state is None else trial.state.n_epochs)

    worker.trainer.on_start = note
    worker.run()

    assert states == [0, 1, 2]
    assert worker.reports() == [("lease-0", step) for step in range(3)]
    assert worker.ended() == ["leases/lease-0/complete"]


def test_other_lanes_train_on_meanwhile() -> None:
    worker = worker_with_rungs(n_trials=3, n_lanes=2)
    worker.service.decide = lambda lease_id, step: "pause" if lease_id == "lease-1" and step == 0 else "continue"
    worker.run()

    assert sorted(worker.ended()) == ["leases/lease-0/complete", "leases/lease-1/pause", "leases/lease-2/complete"]
    assert sorted(worker.reports()) == sorted(
        [("lease-1", 0), *((f"lease-{number}", step) for number in (0, 2) for step in range(3))]
    )


def test_a_trial_that_ends_at_a_rung_completes() -> None:
    worker = worker_with_rungs(rung_steps=(2,))
    worker.service.decide = lambda _lease_id, step: "pause" if step == 2 else "continue"
    worker.run()
    assert worker.ended() == ["leases/lease-0/complete"]


def test_a_trial_that_is_pruned_or_lost_at_its_rung_is_removed() -> None:
    for decision in ("prune", "lost"):
        worker = worker_with_rungs()
        worker.service.decide = lambda _lease_id, _step, decision=decision: decision  # type: ignore[misc]
        worker.run()
        assert worker.ended() == []
        assert worker.reports() == [("lease-0", 0)]


def test_a_stopped_worker_releases_trials_that_wait_at_a_rung() -> None:
    worker = worker_with_rungs()

    def ask(_lease_id: str, _step: int) -> str:
        worker.stopping._is_requested = True
        return "continue"

    worker.service.decide = ask
    worker.run()
    assert worker.ended() == ["leases/lease-0/release"]
    assert "artifacts/lease-0/checkpoint" in worker.service.paths()
