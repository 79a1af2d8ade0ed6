import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.unit.workers.fakes import OutOfMemoryError, lease_json, problem
from tests.unit.workers.loop.loop_driver import Worker, raising
from workers.errors import DatasetError, DivergedError, ModelError
from workers.loop.active_trials import BrokenDeviceError
from workers.scheduling.leased_trial import LeasedTrial


def test_a_trial_is_claimed_trained_reported_and_completed() -> None:
    worker = Worker(n_trials=2)
    worker.run()
    assert worker.service.paths().count("claims") == 3
    claims = worker.service.bodies("claims")
    assert [claim["worker"]["id"] for claim in claims] == ["host/1/cpu"] * 3
    assert len({claim["claim_id"] for claim in claims}) == 3
    assert worker.ended() == ["leases/lease-0/complete", "leases/lease-1/complete"]
    assert worker.reports() == [("lease-0", 0), ("lease-0", 1), ("lease-1", 0), ("lease-1", 1)]


@pytest.mark.parametrize(("precision", "noted"), [("auto", [{"user_attrs": {"precision": "fp32"}}]), ("fp32", [])])
def test_the_chosen_precision_becomes_a_user_attribute_of_the_trial(precision: str, noted: list[Any]) -> None:
    worker = Worker()
    worker.service.waiting[0]["training"]["precision"] = precision
    worker.run()
    assert worker.service.bodies("leases/lease-0/user-attrs") == noted
    paths = worker.service.paths()
    assert "leases/lease-0/user-attrs" not in paths[paths.index("leases/lease-0/complete") :]


def test_reports_are_answered_before_the_trial_is_completed() -> None:
    worker = Worker()
    worker.run()
    paths = worker.service.paths()
    assert "reports" not in paths[paths.index("leases/lease-0/complete") :]


def test_lanes_are_filled_while_others_train() -> None:
    worker = Worker(n_trials=7, n_lanes=4)
    worker.trainer.n_epochs = 50
    worker.run()
    assert sorted(worker.ended()) == [f"leases/lease-{number}/complete" for number in range(7)]
    assert {claim["worker"]["n_lanes"] for claim in worker.service.bodies("claims")} == {4}


def test_every_lane_is_filled_although_trials_come_one_by_one() -> None:
    worker = Worker(n_trials=4, n_lanes=4)
    worker.trainer.n_epochs = 1_000_000
    answer = worker.service._answer
    one_by_one = lambda path, body: answer(path, {**body, "max_trials": 1} if path == "claims" else body)  # noqa: E731
    worker.service._answer = one_by_one  # type: ignore[method-assign]
    worker.service.decide = lambda _lease_id, _step: "prune" if len(worker.trainer.begun) == 4 else "continue"
    worker.run()
    assert len(worker.trainer.begun) == 4


def test_a_worker_never_holds_more_trials_than_lanes() -> None:
    worker = Worker(n_trials=20, n_lanes=3)
    most = 0

    def count(_work: LeasedTrial) -> None:
        nonlocal most
        most = max(most, len(worker.trainer.trials))

    worker.trainer.on_step = count
    worker.run()
    assert len(worker.ended()) == 20
    assert most <= 3
    assert max(claim["max_trials"] for claim in worker.service.bodies("claims")) <= 3


def test_only_trials_of_the_named_study_are_claimed() -> None:
    worker = Worker(n_trials=0)
    worker.run(study="digits")
    assert worker.service.bodies("claims")[0]["study"] == "digits"


def test_waiting_seconds_exclude_training_and_idling_and_include_the_call_before() -> None:
    worker = Worker(n_trials=2)
    answer = worker.service._answer

    def slow(path: str, body: Any) -> Any:
        worker.time.sleep(1.0 if path == "claims" else 0.0)
        return answer(path, body)

    worker.service._answer = slow  # type: ignore[method-assign]
    worker.trainer.on_step = lambda _work: worker.time.sleep(10.0)
    worker.run()
    assert [body["metrics"]["waiting_seconds"] for _, body in worker.outcomes()] == [1.0, 1.0]


def test_idle_polls_are_long_and_not_counted_as_waiting() -> None:
    worker = Worker(n_trials=0)
    grant, later = worker.service._answer, [lease_json(0)]

    def late(path: str, body: Any) -> Any:
        answer = grant(path, body)
        if worker.time.now == 40.0:
            worker.service.waiting, later[:] = later[:], []
        return answer

    worker.service._answer = late  # type: ignore[method-assign]
    worker.run(exit_when_idle_seconds=50.0)
    waits = [claim["wait_seconds"] for claim in worker.service.bodies("claims")]
    assert waits[:5] == [0.0, 20.0, 20.0, 10.0, 0.0]
    assert worker.outcomes()[0][1]["metrics"]["waiting_seconds"] == 0.0


@pytest.mark.parametrize("decision", ["prune", "stop", "lost"])
def test_a_decision_ends_the_trial_without_another_call(decision: str) -> None:
    worker = Worker()
    worker.trainer.n_epochs = 1_000_000
    worker.service.decide = lambda _lease_id, step: decision if step == 1 else "continue"
    worker.run()
    assert worker.outcomes() == []
    assert worker.trainer.dropped == ["lease-0"]


def test_a_decision_on_the_last_report_counts() -> None:
    worker = Worker()
    worker.service.decide = lambda _lease_id, step: "prune" if step == 1 else "continue"
    worker.run()
    assert worker.outcomes() == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DivergedError("train_loss is nan at epoch 3"), "train_loss is nan at epoch 3"),
        (ModelError("kernel must fit the image: 5 > 3"), "kernel must fit the image: 5 > 3"),
        (OutOfMemoryError("CUDA out of memory.\nTried to"), "out of memory on cpu: CUDA out of memory."),
        (MemoryError(), "out of memory on cpu: MemoryError"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.parametrize("when", ["on_start", "on_step"])
def test_an_error_of_the_trial_itself_fails_it_permanently(error: Exception, reason: str, when: str) -> None:
    worker = Worker(n_trials=2)
    setattr(worker.trainer, when, raising(error))
    worker.run()
    assert worker.outcomes() == [
        (f"leases/lease-{number}/fail", {"reason": reason, "retry": False}) for number in range(2)
    ]
    assert worker.stopping.waited == []


def raising_for(study: str, failed_at: list[float], worker: Worker) -> Callable[[LeasedTrial], None]:
    def on_start(trial: LeasedTrial) -> None:
        if trial.lease.study == study:
            failed_at.append(worker.time.now)
            raise DatasetError("no data set mnist in ./data")

    return on_start


def test_a_study_that_this_machine_cannot_train_is_left_to_others_for_growing_times() -> None:
    worker, failed_at = Worker(n_trials=8), list[float]()
    worker.trainer.on_start = raising_for("digits", failed_at, worker)
    worker.run(exit_when_idle_seconds=1000.0)
    assert worker.outcomes()[0][1] == {"reason": "no data set mnist in ./data", "retry": True}
    assert [after - before for before, after in pairwise(failed_at)] == [1, 2, 4, 8, 16, 32, 60]


def test_other_studies_train_while_a_study_that_this_machine_cannot_train_rests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker, failed_at = Worker(n_trials=12), list[float]()
    for lease in worker.service.waiting[:2]:
        lease |= {"study": "sick", "training": {"dataset": "mnist", "model": "mlp"}}
    worker.trainer.on_start = raising_for("sick", failed_at, worker)
    worker.run()
    assert failed_at == [0, 1]
    ended = worker.ended()
    assert ended[0] == "leases/lease-0/fail"
    assert sorted(ended[1:-1]) == sorted(f"leases/lease-{number}/complete" for number in range(2, 12))
    assert ended[-1] == "leases/lease-1/fail"
    rests = [message for message in caplog.messages if message.startswith("sick: this machine")]
    assert [message.rpartition("; ")[2] for message in rests] == [
        "other studies only for 1 s",
        "other studies only for 2 s",
    ]


@pytest.mark.parametrize(
    ("idle_seconds", "ends_at", "n_attempts"), [(0.0, 63.0, 7), (100.0, 100.0, 7), (200.0, 200.0, 9)]
)
def test_a_worker_that_can_train_nothing_that_is_left_ends_as_an_idle_one(
    idle_seconds: float, ends_at: float, n_attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    worker, failed_at = Worker(n_trials=50), list[float]()
    worker.trainer.on_start = raising_for("digits", failed_at, worker)
    worker.run(exit_when_idle_seconds=idle_seconds)
    assert (worker.time.now, len(failed_at)) == (ends_at, n_attempts)
    (said,) = [message for message in caplog.messages if message.startswith("ends: ")]
    assert said.startswith("ends: idle, and this machine cannot train what is left: digits since 20")
    assert said.endswith("Z: no data set mnist in ./data")


def test_a_worker_that_trains_other_studies_is_not_idle_while_one_rests() -> None:
    worker, failed_at = Worker(n_trials=50), list[float]()
    for lease in worker.service.waiting[:20]:
        lease |= {"study": "sick", "training": {"dataset": "mnist", "model": "mlp"}}
    worker.trainer.on_start = raising_for("sick", failed_at, worker)
    worker.trainer.on_step = lambda _trial: worker.time.sleep(10.0)
    worker.run(exit_when_idle_seconds=100.0)
    trained_until = 30 * worker.trainer.n_epochs * 10.0
    assert worker.ended().count("leases/lease-49/complete") == 1
    assert trained_until + 100.0 <= worker.time.now < trained_until + 300.0


def test_a_data_set_that_cannot_be_read_costs_other_studies_no_attempt() -> None:
    worker, failed_at = Worker(n_trials=3), list[float]()
    worker.service.waiting[1]["study"] = "same-data"
    worker.service.waiting[2] |= {"study": "other-data", "training": {"dataset": "mnist", "model": "mlp"}}
    worker.trainer.on_start = raising_for("digits", failed_at, worker)
    worker.run()
    assert worker.ended() == [
        "leases/lease-0/fail",
        "leases/lease-1/release",
        "leases/lease-2/complete",
    ]


def test_a_broken_device_ends_the_process() -> None:
    worker = Worker(n_trials=2, on_step=raising(RuntimeError("CUDA error: device-side assert triggered")))
    with pytest.raises(BrokenDeviceError):
        worker.run()
    assert [body["retry"] for _, body in worker.outcomes()] == [True]


def test_a_refused_report_fails_the_trial() -> None:
    worker = Worker()
    worker.trainer.n_epochs = 1_000_000
    worker.service.answers["reports"] = [problem(409, "report_conflict")]
    worker.run()
    assert worker.outcomes()[0][1]["reason"] == "the service refused a report: no: report_conflict"


def test_epochs_that_were_reported_before_are_not_reported_again() -> None:
    """A trial repeats epochs if it resumes without its checkpoint or returns to a saved state."""
    worker = Worker(n_trials=0)
    worker.trainer.n_epochs = 5
    worker.service.waiting = [{**lease_json(0), "resume": {"step": 2, "artifact": "checkpoint"}}]
    worker.service.answers["artifacts/digits/0/checkpoint"] = [problem(404, "artifact_not_found")]
    worker.run()
    assert worker.reports() == [("lease-0", 3), ("lease-0", 4)]
    assert worker.ended() == ["leases/lease-0/complete"]


def test_a_refused_result_fails_the_trial() -> None:
    worker = Worker()
    worker.service.answers["leases/lease-0/complete"] = [problem(422, "invalid")]
    worker.run()
    assert worker.outcomes()[-1][1]["reason"] == "the service refused the result: no: invalid"


@pytest.mark.parametrize("code", ["lease_lost", "lease_closed", "lease_not_found"])
def test_a_lease_that_is_lost_at_the_end_is_no_error(code: str, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(n_trials=2)
    worker.service.answers["leases/lease-0/complete"] = [problem(409, code)]
    with caplog.at_level(logging.INFO):
        worker.run()
    assert f"digits #0: lost: no: {code}" in caplog.messages
    assert worker.outcomes()[-1][0] == "leases/lease-1/complete"


def test_each_trial_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "narrows.worker"):
        Worker().run()
    assert caplog.messages == [
        "first batch 0.00 s after this process began",
        "digits #0: COMPLETE, validation_accuracy 0.6, 0.00 s waiting",
        "ends after 0.00 s training, 0.00 s besides (0.0% of both: start 0.00, claims 0.00, data 0.00, reports 0.00, "
        "checkpoints 0.00, other 0.00), 0.0 s idle, 0.0% of lanes empty",
    ]
