"""A SubprocessTrainer with its boundaries, and what its trials are compared with."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import torch

from service.schemas.protocol import Lease
from service.schemas.study.allowance import Allowance
from service.schemas.study.data import CustomDataset
from service.schemas.study.models import CustomModel
from service.schemas.study.training import Training
from tests.unit.workers.fakes import FakeService, lease_json
from tests.waiting import PATIENCE_SECONDS
from workers.errors import CustomTrialError
from workers.fleet.stopping import Stopping
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import LaneGroup
from workers.leases.errands import Errands
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.custom_parts.subprocess_trainer import SubprocessTrainer
from workers.user_code.process_starter import ProcessStarter
from workers.user_code.user_code_options import UserCodeOptions
from workers.user_process.custom_parts.dataset import custom_trial_data, load_splits
from workers.user_process.custom_parts.model import make_model

CODE = Path(__file__).parent
HERE = "tests.unit.workers.user_code.custom_parts.wild"


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


class TrainerHarness:
    """A trainer with its boundaries, and the events that it has returned."""

    def __init__(self, folder: Path, starter: ProcessStarter, n_lanes: int | None = 3) -> None:
        self.scratch = folder
        self.service, self.errands, self.stopping = Service(), Errands(), Stopping()
        self.client = self.service.client()
        user_code = UserCodeOptions(Allowance(("wild",)), CODE, folder, n_lanes=n_lanes)
        self.trainer = SubprocessTrainer(user_code, starter, self.client, self.errands, self.stopping)
        self.finished: dict[str, list[FinishedEpoch]] = {}
        self.reasons: dict[str, str] = {}
        self.models: dict[str, bytes] = {}

    def run(self, trials: list[LeasedTrial], on_turn: Callable[[], None] = lambda: None) -> None:
        """Train all trials, each as soon as there is room for it."""
        waiting, deadline = list(trials), time.monotonic() + PATIENCE_SECONDS
        while waiting or self.trainer.trials:
            assert time.monotonic() < deadline, "it takes too long"
            while waiting and self.trainer.n_claimable:
                trial = waiting.pop(0)
                try:
                    self.trainer.start(trial, None)
                except CustomTrialError as error:
                    self.reasons[trial.lease_id] = str(error)
            self.turn()
            on_turn()

    def turn(self) -> None:
        """Take one step, and keep what it has returned."""
        for event in self.trainer.step():
            if isinstance(event, FailedTrial):
                self.reasons[event.trial.lease_id] = str(event.error)
                continue
            self.finished.setdefault(event.trial.lease_id, []).append(event)
            event.trial.last_step = max(event.trial.last_step, event.epoch)
            if event.model is not None:
                self.models[event.trial.lease_id] = event.model()

    def output(self, number: int) -> str:
        """The uploaded output of a trial."""
        assert self.errands.finish(PATIENCE_SECONDS)
        self.errands.check()
        return self.service.outputs.get(f"lease-{number}", "")

    def pids(self, number: int) -> set[str]:
        """The processes that have built a trial's model."""
        return set(re.findall(r"built in (\d+)", self.output(number)))

    def close(self) -> None:
        """End the process, and check that no file is left."""
        self.trainer.close()
        assert self.errands.finish(PATIENCE_SECONDS)
        self.errands.check()
        self.errands.close()
        self.client.close()
        assert list(self.scratch.iterdir()) == []


def leased(number: int, rung_steps: tuple[int, ...] = (), **fields: Any) -> LeasedTrial:
    """A trial of the model in `wild`, with more fields for its training."""
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
    """Validation losses by epoch."""
    return [event.metrics["validation_loss"] for event in events]


def group_here(trial: LeasedTrial) -> tuple[Training, LaneGroup]:
    """Return a group with one trial, in this process."""
    training = trial.lease.built_in
    assert isinstance(training.model, CustomModel)
    here = {
        "dataset": {"entrypoint": f"{HERE}:build_data"},
        # Without the misbehaviour, which would end this process.
        "model": {"entrypoint": f"{HERE}:build", "dropout": training.model.dropout},
    }
    training = Training.model_validate(training.model_dump() | here)
    assert isinstance(training.dataset, CustomDataset)
    data = custom_trial_data(load_splits(training.dataset, 0), torch.device("cpu"))
    return training, LaneGroup(training, data, torch.device("cpu"), 1, build=make_model)


def expected_losses(trial: LeasedTrial) -> list[float]:
    """Return the validation losses of the trial when it is trained alone in this process."""
    training, group = group_here(trial)
    group.load(LaneTrial(training, trial.lease.seed))
    values: list[float] = []
    while group.lanes:
        values += [result.metrics["validation_loss"] for result in group.step()]
    return values
