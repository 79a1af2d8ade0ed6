from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from service.study.used_budget import DeviceTime, TrainedEpochs
from storage import EpochRecord, HeldTime, LeaseRecord

START = datetime(2026, 1, 2, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def lease(worker: str, hours: float) -> LeaseRecord:
    return LeaseRecord(f"{worker}-{hours}", 1, 1, 0, 1, "claim", worker, at(hours))


def epoch(trial_id: int, step: int) -> EpochRecord:
    return EpochRecord(trial_id, step, 1, "lease", {}, "continue")


def test_a_step_of_a_trial_counts_once() -> None:
    epochs = TrainedEpochs()
    for trial_id, step in ((1, 0), (1, 1), (2, 0), (1, 1), (1, 0)):
        epochs.add(trial_id, step)
    assert epochs.n == 3


@pytest.mark.parametrize(("after_step", "n_left", "n_then"), [(None, 1, 3), (0, 2, 3), (1, 3, 4), (7, 3, 4)])
def test_steps_after_a_checkpoint_count_when_they_are_reported_again(
    after_step: int | None, n_left: int, n_then: int
) -> None:
    epochs = TrainedEpochs()
    for trial_id, step in ((1, 0), (1, 1), (2, 0)):
        epochs.add(trial_id, step)

    epochs.forget(1, after_step)

    assert epochs.n == n_left
    for step in range(1 if after_step == 0 else 0, 2):
        epochs.add(1, step)
    epochs.add(3, 0) if after_step not in (None, 0) else None
    assert epochs.n == n_then


def test_stored_epochs_count_and_those_of_unfinished_trials_count_once() -> None:
    epochs = TrainedEpochs(10, [epoch(1, 0), epoch(1, 1)])

    epochs.add(1, 1)
    assert epochs.n == 10
    epochs.end(1)
    epochs.add(2, 0)
    assert epochs.n == 11


@pytest.mark.parametrize(
    ("devices", "held", "hours"),
    [
        (1, [("a", 0, 2), ("b", 1, 4)], 5.0),
        (2, [("a", 0, 2), ("b", 1, 4)], 10.0),
        (1, [("a", 0, 2), ("a", 1, 4)], 4.0),  # lanes of one device
        (1, [("a", 0, 1), ("a", 2, 3)], 2.0),
        (0.25, [("a", 0, 4)], 1.0),
        (0.25, [("a", 0, 4), ("a", 0, 4), ("a", 2, 4)], 2.5),
        (0.25, [("a", 0, 4)] * 6, 4.0),  # two of them are claimed ahead
        (0.33, [("a", 0, 1)] * 3, 1.0),
        (1, [("a", 1, 1)], 0.0),
        (1, [], 0.0),
    ],
)
def test_device_hours(devices: float, held: list[tuple[str, float, float]], hours: float) -> None:
    changes = sorted(
        [(begun, 1, worker, begun) for worker, begun, _ in held]
        + [(ended, -1, worker, begun) for worker, begun, ended in held]
    )
    live = DeviceTime(devices)
    for moment, change, worker, begun in changes:
        if change > 0:
            live.start(lease(worker, begun))
        else:
            live.end(lease(worker, begun), at(moment))
    loaded = DeviceTime(devices, [(worker, at(begun), at(ended)) for worker, begun, ended in held])

    assert live.hours(at(9)) == loaded.hours(at(9)) == pytest.approx(hours)


def test_device_hours_of_open_leases_grow_with_time() -> None:
    held: list[HeldTime] = [("a", at(0), None), ("b", at(1), None), ("c", at(0), at(1))]
    time = DeviceTime(1, held)
    assert [time.hours(at(hours)) for hours in (1, 2, 3)] == [2.0, 4.0, 6.0]
    time.end(lease("a", 0), at(3))
    assert time.hours(at(5)) == 8.0


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    time = DeviceTime(1, [("a", at(0), at(2))])
    time.start(lease("a", 1))
    assert time.hours(at(1)) == 2.0
    assert time.hours(at(3)) == 3.0


def test_a_third_of_a_device_is_counted_exactly() -> None:
    time = DeviceTime(0.33, [("a", at(0), None)])
    assert time.hours(at(1)) == float(Fraction(1, 3))
