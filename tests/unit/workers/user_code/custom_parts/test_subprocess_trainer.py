"""Trials with own models in real processes, several in one: whatever one does, the others go on."""

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
from workers.user_code.allowed import UserCode
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer
from workers.user_code.custom_parts.trainer_process import kept_state
from workers.user_process.custom_parts.dataset import custom_data, read_parts
from workers.user_process.custom_parts.model import build

CODE = Path(__file__).parent
HERE = "tests.unit.workers.user_code.custom_parts.wild"
CLOCKS = ("seconds", "training_seconds")


class Service(FakeService):
    """Keeps what is uploaded of each trial's output."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        _, name, kind = f"//{request.url.path}".rsplit("/", 2)
        if kind == "output":
            self.outputs[name] = request.content.decode()
        return super().__call__(request)


class Place:
    """A bench with its boundaries, and all that came of it."""

    def __init__(self, folder: Path, n_lanes: int | None = 3) -> None:
        self.scratch = folder
        self.service, self.errands, self.stopping = Service(), Errands(), Stopping()
        self.client = self.service.client()
        user_code = UserCode(("wild",), CODE, folder, n_lanes=n_lanes)
        self.bench = SubprocessTrainer(user_code, "cpu", self.client, self.errands, self.stopping)
        self.finished: dict[str, list[FinishedEpoch]] = {}
        self.reasons: dict[str, str] = {}
        self.models: dict[str, bytes] = {}

    def run(
        self, trials: list[LeasedTrial], on_turn: Callable[[], None] = lambda: None, seconds: float = 120.0
    ) -> None:
        """Train all, each as soon as there is room for it."""
        waiting, deadline = list(trials), time.monotonic() + seconds
        while waiting or self.bench.trials:
            assert time.monotonic() < deadline, "it takes too long"
            while waiting and self.bench.room:
                trial = waiting.pop(0)
                try:
                    self.bench.start(trial, None)
                except CustomTrialError as error:
                    self.reasons[trial.lease_id] = str(error)
            self.turn()
            on_turn()

    def turn(self) -> None:
        for event in self.bench.step():
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
        self.bench.close()
        assert self.errands.finish(10.0)
        self.errands.check()
        self.errands.close()
        self.client.close()
        assert list(self.scratch.iterdir()) == []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = Place(tmp_path)
    yield place
    place.close()


def trial(number: int, rung_steps: tuple[int, ...] = (), **fields: Any) -> LeasedTrial:
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


def group_here(one: LeasedTrial) -> tuple[Training, LaneGroup]:
    """For a trial in this process, alone."""
    training = one.lease.built_in
    assert isinstance(training.model, OwnModel)
    here = {
        "dataset": {"entrypoint": f"{HERE}:build_data"},
        # Without what it would do to this process.
        "model": {"entrypoint": f"{HERE}:build", "dropout": training.model.dropout},
    }
    training = Training.model_validate(training.model_dump() | here)
    assert isinstance(training.dataset, OwnDataset)
    data = custom_data(read_parts(training.dataset, 0), torch.device("cpu"))
    return training, LaneGroup(training, data, torch.device("cpu"), 1, build=build)


def expected(one: LeasedTrial) -> list[float]:
    """As the trainer has it in this process, alone."""
    training, group = group_here(one)
    group.load(LaneTrial(training, one.lease.seed))
    found: list[float] = []
    while group.lanes:
        found += [result.metrics["validation_loss"] for result in group.step()]
    return found


@pytest.mark.parametrize("rates", [[None] * 5, [0.0, 0.5, None, [0.3], 0.9]], ids=["its code's", "searched"])
def test_trials_share_a_process_and_each_is_as_it_were_alone(place: Place, rates: list[Any]) -> None:
    slow = {"seconds": 0.02}  # else one may be over before the next has begun
    trials = [trial(number, arguments=slow, dropout=rate) for number, rate in enumerate(rates)]
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, place.bench.n_training)

    place.run(trials, look)
    assert place.reasons == {}
    for one in trials:
        events = place.finished[one.lease_id]
        assert losses(events) == pytest.approx(expected(one), rel=1e-4)
        assert events[-1].final is not None
        _, description = read_model(place.models[one.lease_id])
        assert description["metrics"]["validation_loss"] == events[-1].final["validation_loss"]
        assert one.new_user_attrs == {"lanes": "up to 3 at a time"}
    assert most > 1
    assert len(set.union(*(place.pids(number) for number in range(5)))) == 1
    assert place.bench.n_training == 0
    place.bench.end_idle_process()
    assert place.bench.n_lanes == 1


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("abort", {}, "its process was killed by SIGABRT"),
        ("exit", {}, "the code called sys.exit(3)"),
        ("cuda", {}, "RuntimeError: CUDA error: device-side assert triggered"),
        ("hang", {"step_timeout_seconds": 15.0}, "it had reported nothing for 15 s (step_timeout_seconds)"),
        ("babble", {}, "broke off the conversation"),
    ],
)
def test_what_ends_a_process_of_several_trials_fails_none_that_is_good_alone(
    place: Place, tmp_path_factory: pytest.TempPathFactory, kind: str, fields: dict[str, Any], reason: str
) -> None:
    """They are tried again, each alone; and the one that does it alone too fails."""
    armed = tmp_path_factory.mktemp("armed") / "now"
    arguments = {"kind": kind, "armed": str(armed), "seconds": 0.01, "from": 4}
    trials = [trial(number, arguments=arguments, epochs=6, **fields) for number in range(3)]

    def arm() -> None:
        if place.bench.n_training == 3 and all(one.last_step >= 0 for one in trials):
            armed.touch()

    place.run(trials, arm)
    assert armed.exists()
    assert place.reasons == {}
    for one in trials:
        assert place.finished[one.lease_id][-1].final is not None
        assert {event.epoch for event in place.finished[one.lease_id]} == set(range(6))
        assert losses(place.finished[one.lease_id][-1:]) == pytest.approx(expected(one)[-1:], rel=1e-4)
        assert one.new_user_attrs["lanes"].startswith("alone, after a process of several trials: ")
        assert reason in one.new_user_attrs["lanes"]
        assert "tried again alone" in place.output(one.lease.trial_number)
    assert len({pid for number in range(3) for pid in place.pids(number)}) == 3


def test_a_trial_that_does_it_alone_too_fails_with_what_it_said(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    trials = [trial(number, arguments={"kind": "abort", "armed": str(armed), "seconds": 0.01}) for number in range(2)]

    def arm() -> None:
        if place.bench.n_training == 2:
            armed.touch()

    place.run(trials, arm)
    assert list(place.finished) == [] or all(events[-1].final is None for events in place.finished.values())
    for one in trials:
        assert "killed by SIGABRT; the end of its output:" in place.reasons[one.lease_id]
        assert "about to abort" in place.reasons[one.lease_id]


def test_memory_is_bounded_for_the_whole_process(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    armed.touch()
    arguments = {"kind": "blow up", "armed": str(armed), "from": 2}
    place.run([trial(0, arguments=arguments, memory_limit_mib=4096)])
    assert "MemoryError" in place.reasons["lease-0"]


def test_what_lanes_cannot_share_trains_alone_in_processes_of_their_own(place: Place) -> None:
    trials = [trial(number, arguments={"noise": True}) for number in range(2)]
    place.run(trials, lambda: None)
    for one in trials:
        assert place.finished[one.lease_id][-1].final is not None
        assert one.new_user_attrs["lanes"].startswith("one at a time: it draws random numbers from torch's generator")
    assert not place.pids(0) & place.pids(1)


def test_a_trial_of_another_kind_waits_for_an_empty_process(place: Place) -> None:
    one, other = trial(0, arguments={"seconds": 0.01}), trial(1, arguments={"seconds": 0.02})
    place.bench.start(one, None)
    place.bench.start(other, None)
    assert (place.bench.n_training, len(place.bench.trials), place.bench.room) == (1, 2, 0)
    place.run([])
    assert [events[-1].final is not None for events in place.finished.values()] == [True, True]
    assert not place.pids(0) & place.pids(1)


def test_a_trial_stops_at_its_rung_with_its_state_and_goes_on_from_there(place: Place) -> None:
    one = trial(0, rung_steps=(1,), epochs=4)
    place.bench.start(one, None)
    while one.last_step < 1:
        place.turn()
    place.bench.save_state(one)
    place.bench.remove(one.lease_id)
    assert place.bench.trials == []
    assert one.state is not None
    assert one.state.n_epochs == 2
    place.run([one])
    assert losses(place.finished[one.lease_id]) == pytest.approx(expected(one), rel=1e-4)
    assert "goes on after 2 epochs" in place.output(0)


def test_a_trial_goes_back_to_a_checkpoint_whose_epochs_are_all_told(tmp_path: Path) -> None:
    """The process is ahead of what the worker has heard: by less than the time between two checkpoints."""
    one, checkpoint = trial(0), tmp_path / "checkpoint.safetensors"
    training, group = group_here(one)
    lane = group.load(LaneTrial(training, one.lease.seed))

    def write(path: Path, n_epochs: int) -> None:
        while lane.epoch < n_epochs:
            group.step()
        path.write_bytes(dump_checkpoint(group.state(lane), one.lease.built_in, one.lease.seed))

    write(previous_checkpoint(checkpoint), 1)
    write(checkpoint, 3)
    found = [kept_state(checkpoint, one, last_epoch) for last_epoch in (-1, 0, 1, 2)]
    assert [None if state is None else state.n_epochs for state in found] == [None, 1, 1, 3]


def test_a_dropped_trial_takes_nothing_from_the_others_in_its_step(place: Place) -> None:
    """Its process still writes to its folder when a step is longer than a turn of the worker."""
    trials = [trial(number, arguments={"seconds": 0.15}, epochs=5) for number in range(3)]
    dropped: list[str] = []

    def drop_two() -> None:
        for one in trials[:2]:
            if one.last_step >= trials.index(one) and one.lease_id not in dropped:
                place.bench.remove(one.lease_id)
                dropped.append(one.lease_id)

    place.run(trials, drop_two)
    assert len(dropped) == 2
    assert place.reasons == {}
    assert place.finished["lease-2"][-1].final is not None
    assert trials[2].new_user_attrs == {"lanes": "up to 3 at a time"}
    assert len(place.pids(2)) == 1


def test_a_trial_that_cannot_begin_is_not_on_the_bench(place: Place) -> None:
    with pytest.raises(CustomTrialError, match="must return"):
        place.bench.start(trial(0, dataset={"entrypoint": "wild:build"}), None)
    assert place.bench.trials == []
    assert place.bench.room == 1
    place.run([trial(1)])
    assert place.finished["lease-1"][-1].final is not None


def test_a_trial_is_on_the_bench_until_its_end_is_told(place: Place) -> None:
    place.bench.start(one := trial(0, epochs=1), None)
    deadline = time.monotonic() + 60.0
    while one.lease_id not in place.finished:
        assert time.monotonic() < deadline
        assert place.bench.trials == [one]
        place.turn()
    assert place.bench.trials == []


def test_a_dropped_trial_that_hangs_holds_up_no_other(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    armed = tmp_path_factory.mktemp("armed") / "now"
    arguments = {"kind": "hang", "armed": str(armed), "seconds": 0.01}
    place.bench.start(one := trial(0, arguments=arguments, epochs=1000), None)
    armed.touch()
    place.turn()
    time.sleep(0.2)
    place.bench.remove(one.lease_id)
    armed.unlink()
    place.run([trial(1, arguments=arguments)])
    assert place.finished["lease-1"][-1].final is not None


def test_a_study_whose_entrypoints_are_not_allowed_is_left_to_others(place: Place) -> None:
    one = trial(0, dataset={"entrypoint": "os:getcwd"})
    with pytest.raises(CustomTrialError, match=r"does not allow the entrypoint os:getcwd \(--allow\)"):
        place.bench.start(one, None)
    assert place.bench.trials == []
