"""What differs on a GPU: convolutions of all lanes at once, the fused optimizer, generators, memory that runs out."""

from typing import Any

import pytest
import torch

from service.schemas.protocol import Lease
from service.schemas.study.training import Training
from tests.unit.workers.fakes import lease_json
from workers.data.trial_data import TrialData
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import dump_checkpoint, read_checkpoint
from workers.scheduling.lane_choice import LaneChoice
from workers.scheduling.lane_scheduler import FailedTrial, FinishedEpoch, LaneScheduler
from workers.scheduling.lane_times import LaneTimes
from workers.scheduling.leased_trial import LeasedTrial

pytestmark = pytest.mark.gpu

TOLERANCE = 2e-3
"""Relative, of losses after two epochs in float32: kernels for other numbers of lanes add up in another order."""
MODELS: list[dict[str, Any]] = [
    {"name": "mlp", "hidden": [32, 16]},
    {"name": "mlp", "hidden": [16], "batch_norm": True},
    {"name": "cnn", "blocks": [{"channels": 4}, {"channels": 8}], "dense": [16], "batch_norm": True},
    {"name": "lenet"},
    {"name": "resnet18"},
]
REGULARIZED = {"dropout": 0.2, "noise_std": 0.1, "weight_decay": 0.01, "l1_decay": 1e-4, "gradient_clip": 1.0}


def training(**fields: Any) -> Training:
    fixed = {"dataset": {"name": "digits", "augment": "crop_flip_cutout"}, "batch_size": 64, "epochs": 2}
    return Training.model_validate(fixed | {"learning_rate": 0.003} | fields)


def run(group: LaneGroup, trials: list[LaneTrial]) -> dict[int, EpochResult]:
    """The last result of each trial, by seed; a trial begins when a lane is free."""
    waiting, last = list(trials), {}
    while waiting or group.lanes:
        while waiting and not group.is_full:
            group.load(waiting.pop(0))
        for result in group.step():
            last[result.lane.trial.seed] = result
    return last


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_trials_in_lanes_with_refills_equal_trials_alone(
    model: dict[str, Any], optimizer: str, data: TrialData, device: torch.device
) -> None:
    trials = [
        LaneTrial(training(model=model, optimizer=optimizer, **(REGULARIZED if seed % 2 else {})), seed)
        for seed in range(5)
    ]
    together = run(LaneGroup(trials[0].training, data, device, 3), trials)
    for trial in trials:
        alone = run(LaneGroup(trial.training, data, device, 1), [trial])[trial.seed]
        for name in ("train_loss", "validation_loss"):
            assert together[trial.seed].metrics[name] == pytest.approx(alone.metrics[name], rel=TOLERANCE), name


@pytest.mark.parametrize("model", MODELS[:3], ids=str)
def test_a_resumed_trial_goes_on_as_without_a_break(
    model: dict[str, Any], data: TrialData, device: torch.device
) -> None:
    trial = LaneTrial(training(model=model, **REGULARIZED), 5)
    whole = run(LaneGroup(trial.training, data, device, 1), [trial])[5]
    group = LaneGroup(trial.training, data, device, 1)
    lane = group.load(trial)
    for _ in range(9):
        group.step()
    content = dump_checkpoint(group.state(lane), trial.training, trial.seed)
    other = LaneGroup(trial.training, data, device, 1)
    other.load(trial, read_checkpoint(content, trial.training, trial.seed))
    resumed = run(other, [])[5]
    for name in ("train_loss", "validation_loss"):
        assert resumed.metrics[name] == pytest.approx(whole.metrics[name], rel=TOLERANCE), name


def test_bf16_trains_to_about_the_same(data: TrialData, device: torch.device) -> None:
    finals = [
        run(
            LaneGroup(one := training(model=MODELS[2], precision=precision, epochs=6), data, device, 1),
            [LaneTrial(one, 1)],
        )[1].metrics
        for precision in ("fp32", "bf16")
    ]
    assert finals[1]["validation_accuracy"] == pytest.approx(finals[0]["validation_accuracy"], abs=0.1)


def test_more_lanes_are_faster_and_chosen(data: TrialData, device: torch.device) -> None:
    """On a GPU, convolutions of many trials run at once."""
    scheduler = LaneScheduler(lambda _dataset: data, device, LaneChoice(None, LaneTimes(device)), _no_test)
    trials = leased(8, MODELS[2], epochs=200)
    for trial in trials:
        scheduler.start(trial, 8)
    while scheduler.trials:
        scheduler.step()
    assert (scheduler.n_lanes > 1) == (device.type != "cpu")


def leased(n: int, model: Any, **fields: Any) -> list[LeasedTrial]:
    given = training(model=model, **fields).model_dump(mode="json")
    leases = [{**lease_json(number), "training": given, "seed": number} for number in range(n)]
    return [LeasedTrial(Lease.model_validate(lease)) for lease in leases]


def test_memory_that_really_runs_out_halves_the_lanes_and_loses_no_trial(data: TrialData, device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("only a GPU's memory can be limited for this process")
    wide = {"name": "mlp", "hidden": [2048, 2048]}
    trials = leased(8, wide)
    scheduler = LaneScheduler(lambda _dataset: data, device, LaneChoice(8, LaneTimes(device)), _no_test)
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(700 * 2**20 / total, device)
    try:
        events: list[FinishedEpoch | FailedTrial] = []
        for trial in trials:
            scheduler.start(trial, None)
        while scheduler.trials:
            events += scheduler.step()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    finals = [event for event in events if isinstance(event, FinishedEpoch) and event.final is not None]
    assert len(finals) == 8
    assert scheduler.n_lanes < 8


def _no_test(*_: object) -> dict[str, float]:
    raise AssertionError("no trial here is one that reads the test split")
