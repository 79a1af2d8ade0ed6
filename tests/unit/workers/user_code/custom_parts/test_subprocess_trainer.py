"""Trials with custom models, several in one real process: whatever one does, the others continue."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from service.schemas.protocol import Lease
from service.schemas.study.data import OwnDataset
from service.schemas.study.models import OwnModel
from service.schemas.study.training import Training
from tests.unit.workers.fakes import FakeService, lease_json
from workers.errors import CustomTrialError
from workers.fleet.stopping import Stopping
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup
from workers.leases.errands import Errands
from workers.saved.files import dump_checkpoint, previous_checkpoint, read_model
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.custom_parts.child_trial import newest_state
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process.custom_parts.dataset import custom_trial_data, load_splits
from workers.user_process.custom_parts.model import make_model

pytestmark = pytest.mark.processes

CODE = Path(__file__).parent
HERE = "tests.unit.workers.user_code.custom_parts.wild"
CLOCKS = ("seconds", "training_seconds")


class Service(FakeService):
    """Records the output that is uploaded for each trial."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        _, name, kind = f"//{request.url.path}".rsplit("/", 2)
        if kind == "output":
            self.outputs[name] = request.content.decode()
        return super().__call__(request)


class Harness:
    """A trainer with its boundaries, and the events that it has returned."""

    def __init__(self, folder: Path, n_lanes: int | None = 3) -> None:
        self.scratch = folder
        self.service, self.errands, self.stopping = Service(), Errands(), Stopping()
        self.client = self.service.client()
        user_code = UserCodeOptions(("wild",), CODE, folder, n_lanes=n_lanes)
        self.trainer = SubprocessTrainer(user_code, "cpu", self.client, self.errands, self.stopping)
        self.finished: dict[str, list[FinishedEpoch]] = {}
        self.reasons: dict[str, str] = {}
        self.models: dict[str, bytes] = {}

    def run(
        self, trials: list[LeasedTrial], on_turn: Callable[[], None] = lambda: None, seconds: float = 120.0
    ) -> None:
        """Train all trials, each as soon as there is room for it."""
        waiting, deadline = list(trials), time.monotonic() + 120.0
        while waiting or self.trainer.trials:
            assert time.monotonic() < deadline, "it takes too long"
            while waiting and self.trainer.room:
                trial = waiting.pop(0)
                try:
                    self.trainer.start(trial, None)
                except CustomTrialError as error:
                    self.reasons[trial.lease_id] = str(error)
            self.turn()
            on_turn()

    def turn(self) -> None:
        for event in self.trainer.step():
            if isinstance(event, FailedTrial):
                self.reasons[event.trial.lease_id] = str(event.error)
                continue
            self.finished.setdefault(event.trial.lease_id, []).append(event)
            event.trial.last_step = max(event.trial.last_step, event.epoch)
            if event.model is not None:
                self.models[event.trial.lease_id] = event.model()

    def output(self, number: int) -> str:
        assert self.errands.finish(10.0)
        self.errands.check()
        return self.service.outputs.get(f"lease-{number}", "")

    def pids(self, number: int) -> set[str]:
        return set(re.findall(r"built in (\d+)", self.output(number)))

    def close(self) -> None:
        self.trainer.close()
        assert self.errands.finish(10.0)
        self.errands.check()
        self.errands.close()
        self.client.close()
        assert list(self.scratch.iterdir()) == []


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    harness = Harness(tmp_path)
    yield harness
    harness.close()


def leased(number: int, rung_steps: tuple[int, ...] = (), **fields: Any) -> LeasedTrial:
    arguments, dropout = fields.pop("arguments", {}), fields.pop("dropout", None)
    training = {
        "dataset": {"entrypoint": "wild:build_data"},
        "model": {"entrypoint": "wild:build", "arguments": arguments, "dropout": dropout},
        "learning_rate": 0.01 * (1 + number),
        "batch_size": 16,
        "epochs": 4,
        **fields,
    }
    changes = {"training": training, "seed": 50 + number, "rung_steps": list(rung_steps)}
    return LeasedTrial(Lease.model_validate(lease_json(number) | changes))


def losses(events: list[FinishedEpoch]) -> list[float]:
    return [event.metrics["validation_loss"] for event in events]


def group_here(trial: LeasedTrial) -> tuple[Training, LaneGroup]:
    """Return a group with one trial, in this process."""
    training = trial.lease.built_in
    assert isinstance(training.model, OwnModel)
    here = {
        "dataset": {"entrypoint": f"{HERE}:build_data"},
        # Without the misbehaviour, which would end this process.
        "model": {"entrypoint": f"{HERE}:build", "dropout": training.model.dropout},
    }
    training = Training.model_validate(training.model_dump() | here)
    assert isinstance(training.dataset, OwnDataset)
    data = custom_trial_data(load_splits(training.dataset, 0), torch.device("cpu"))
    return training, LaneGroup(training, data, torch.device("cpu"), 1, build=make_model)


def expected(trial: LeasedTrial) -> list[float]:
    """Return the validation losses of the trial when it is trained alone in this process."""
    training, group = group_here(trial)
    group.load(LaneTrial(training, trial.lease.seed))
    found: list[float] = []
    while group.lanes:
        found += [result.metrics["validation_loss"] for result in group.step()]
    return found


@pytest.mark.parametrize("rates", [[None] * 5, [0.0, 0.5, None, [0.3], 0.9]], ids=["its code's", "searched"])
def test_trials_share_a_process_and_each_ends_as_if_alone(harness: Harness, rates: list[Any]) -> None:
    slow = {"seconds": 0.02}  # so that none is over before the next has begun
    trials = [leased(number, arguments=slow, dropout=rate) for number, rate in enumerate(rates)]
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, harness.trainer.n_training)

    harness.run(trials, look)
    assert harness.reasons == {}
    for trial in trials:
        events = harness.finished[trial.lease_id]
        assert losses(events) == pytest.approx(expected(trial), rel=1e-4)
        assert events[-1].final is not None
        _, description = read_model(harness.models[trial.lease_id])
        assert description["metrics"]["validation_loss"] == events[-1].final["validation_loss"]
        assert trial.new_user_attrs == {"lanes": "up to 3 at a time"}
    assert most > 1
    assert len(set.union(*(harness.pids(number) for number in range(5)))) == 1
    assert harness.trainer.n_training == 0
    harness.trainer.end_idle_process()
    assert harness.trainer.n_lanes == 1


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("abort", {}, "the trial's process was killed by SIGABRT"),
        ("exit", {}, "the code called sys.exit(3)"),
        ("cuda", {}, "RuntimeError: CUDA error: device-side assert triggered"),
        ("hang", {"step_timeout_seconds": 15.0}, "the code reported nothing for 15 s (step_timeout_seconds)"),
        ("babble", {}, "sent an invalid message"),
    ],
)
def test_trials_of_a_process_that_ends_are_tried_again_one_by_one(
    harness: Harness, tmp_path_factory: pytest.TempPathFactory, kind: str, fields: dict[str, Any], reason: str
) -> None:
    """Each is tried again alone. A trial that ends its own process too fails: see the next test."""
    armed = tmp_path_factory.mktemp("armed") / "now"
    arguments = {"kind": kind, "armed": str(armed), "seconds": 0.01, "from": 4}
    trials = [leased(number, arguments=arguments, epochs=6, **fields) for number in range(3)]

    def arm() -> None:
        if harness.trainer.n_training == 3 and all(trial.last_step >= 0 for trial in trials):
            armed.touch()

    harness.run(trials, arm)
    assert armed.exists()
    assert harness.reasons == {}
    for trial in trials:
        assert harness.finished[trial.lease_id][-1].final is not None
        assert {event.epoch for event in harness.finished[trial.lease_id]} == set(range(6))
        assert losses(harness.finished[trial.lease_id][-1:]) == pytest.approx(expected(trial)[-1:], rel=1e-4)
        assert trial.new_user_attrs["lanes"].startswith("alone, after a process of several trials: ")
        assert reason in trial.new_user_attrs["lanes"]
        assert "tried again alone" in harness.output(trial.lease.trial_number)
    assert len({pid for number in range(3) for pid in harness.pids(number)}) == 3


def test_a_trial_that_ends_its_own_process_too_fails_with_its_output(
    harness: Harness, tmp_path_factory: pytest.TempPathFactory
) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    trials = [leased(number, arguments={"kind": "abort", "armed": str(armed), "seconds": 0.01}) for number in range(2)]

    def arm() -> None:
        if harness.trainer.n_training == 2:
            armed.touch()

    harness.run(trials, arm)
    assert list(harness.finished) == [] or all(events[-1].final is None for events in harness.finished.values())
    for trial in trials:
        assert "killed by SIGABRT; the end of its output:" in harness.reasons[trial.lease_id]
        assert "about to abort" in harness.reasons[trial.lease_id]


def test_memory_is_bounded_for_the_whole_process(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    armed.touch()
    arguments = {"kind": "blow up", "armed": str(armed), "from": 2}
    harness.run([leased(0, arguments=arguments, memory_limit_mib=4096)])
    assert "MemoryError" in harness.reasons["lease-0"]


def test_trials_that_cannot_share_lanes_train_in_separate_processes(harness: Harness) -> None:
    trials = [leased(number, arguments={"noise": True}) for number in range(2)]
    harness.run(trials, lambda: None)
    for trial in trials:
        assert harness.finished[trial.lease_id][-1].final is not None
        assert trial.new_user_attrs["lanes"].startswith("one at a time: it draws random numbers from torch's generator")
    assert not harness.pids(0) & harness.pids(1)


def test_a_trial_of_another_kind_waits_for_an_empty_process(harness: Harness) -> None:
    trial, other = leased(0, arguments={"seconds": 0.01}), leased(1, arguments={"seconds": 0.02})
    harness.trainer.start(trial, None)
    harness.trainer.start(other, None)
    assert (harness.trainer.n_training, len(harness.trainer.trials), harness.trainer.room) == (1, 2, 0)
    harness.run([])
    assert [events[-1].final is not None for events in harness.finished.values()] == [True, True]
    assert not harness.pids(0) & harness.pids(1)


def test_a_trial_stops_at_its_rung_with_its_state_and_continues_from_there(harness: Harness) -> None:
    trial = leased(0, rung_steps=(1,), epochs=4)
    harness.trainer.start(trial, None)
    while trial.last_step < 1:
        harness.turn()
    harness.trainer.save_state(trial)
    harness.trainer.remove(trial.lease_id)
    assert harness.trainer.trials == []
    assert trial.state is not None
    assert trial.state.n_epochs == 2
    harness.run([trial])
    assert losses(harness.finished[trial.lease_id]) == pytest.approx(expected(trial), rel=1e-4)
    assert "goes on after 2 epochs" in harness.output(0)


def test_a_trial_returns_to_a_checkpoint_whose_epochs_were_all_reported(tmp_path: Path) -> None:
    """The process is ahead of the reported epochs by less than the time between two checkpoints."""
    trial, checkpoint = leased(0), tmp_path / "checkpoint.safetensors"
    training, group = group_here(trial)
    lane = group.load(LaneTrial(training, trial.lease.seed))

    def write(path: Path, n_epochs: int) -> None:
        while lane.epoch < n_epochs:
            group.step()
        path.write_bytes(dump_checkpoint(group.state(lane), trial.lease.built_in, trial.lease.seed))

    write(previous_checkpoint(checkpoint), 1)
    write(checkpoint, 3)
    found = [newest_state(checkpoint, trial, last_epoch) for last_epoch in (-1, 0, 1, 2)]
    assert [None if state is None else state.n_epochs for state in found] == [None, 1, 1, 3]


def test_a_trial_removed_in_a_step_does_not_affect_the_others(harness: Harness) -> None:
    """Its process still writes to its folder if a step takes longer than a step of the worker's loop."""
    trials = [leased(number, arguments={"seconds": 0.15}, epochs=5) for number in range(3)]
    dropped: list[str] = []

    def drop_two() -> None:
        for trial in trials[:2]:
            if trial.last_step >= trials.index(trial) and trial.lease_id not in dropped:
                harness.trainer.remove(trial.lease_id)
                dropped.append(trial.lease_id)

    harness.run(trials, drop_two)
    assert len(dropped) == 2
    assert harness.reasons == {}
    assert harness.finished["lease-2"][-1].final is not None
    assert trials[2].new_user_attrs == {"lanes": "up to 3 at a time"}
    assert len(harness.pids(2)) == 1


def test_a_trial_that_cannot_start_is_not_held_by_the_trainer(harness: Harness) -> None:
    with pytest.raises(CustomTrialError, match="must return"):
        harness.trainer.start(leased(0, dataset={"entrypoint": "wild:build"}), None)
    assert harness.trainer.trials == []
    assert harness.trainer.room == 1
    harness.run([leased(1)])
    assert harness.finished["lease-1"][-1].final is not None


def test_a_trial_is_held_by_the_trainer_until_its_end_is_returned(harness: Harness) -> None:
    harness.trainer.start(trial := leased(0, epochs=1), None)
    deadline = time.monotonic() + 60.0
    while trial.lease_id not in harness.finished:
        assert time.monotonic() < deadline
        assert harness.trainer.trials == [trial]
        harness.turn()
    assert harness.trainer.trials == []


def test_a_removed_trial_that_hangs_delays_no_other(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    arguments = {"kind": "hang", "armed": str(armed), "seconds": 0.01}
    harness.trainer.start(trial := leased(0, arguments=arguments, epochs=1000), None)
    armed.touch()
    harness.turn()
    time.sleep(0.2)
    harness.trainer.remove(trial.lease_id)
    armed.unlink()
    harness.run([leased(1, arguments=arguments)])
    assert harness.finished["lease-1"][-1].final is not None


def test_a_study_whose_entrypoints_are_not_allowed_is_left_to_others(harness: Harness) -> None:
    trial = leased(0, dataset={"entrypoint": "os:getcwd"})
    with pytest.raises(CustomTrialError, match=r"does not allow the entrypoint os:getcwd \(--allow\)"):
        harness.trainer.start(trial, None)
    assert harness.trainer.trials == []
