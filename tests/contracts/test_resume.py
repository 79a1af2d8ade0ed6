"""A trial that continues from a checkpoint ends as if it had never been interrupted."""

from pathlib import Path
from typing import Any

import pytest
import torch

from service.schemas.protocol import Lease
from tests.contracts.test_lanes import CPU, MODELS, alone, assert_equal, data, one_thread, run, training
from tests.unit.workers.fakes import lease_json
from workers.data.trial_data import TrialData
from workers.errors import CheckpointError
from workers.lanes.lane import LaneTrial
from workers.lanes.lane_group import EpochResult, LaneGroup
from workers.saved.files import describe_model, dump_checkpoint, dump_model, load_model, read_checkpoint

pytestmark = pytest.mark.heavy

__all__ = ["data", "one_thread"]  # fixtures

STOPPING = {"metric": "validation_loss", "patience": 2}
EVERYTHING: dict[str, Any] = {
    "epochs": 5,
    "dropout": 0.2,
    "noise_std": 0.1,
    "augment": "crop_flip",
    "schedule": "onecycle",
    "early_stopping": STOPPING,
}


def interrupted(trial: LaneTrial, data: TrialData, n_steps: int) -> list[EpochResult]:
    """Train in one of two lanes for `n_steps`, then continue in another group from the content of a checkpoint file."""
    group = LaneGroup(trial.training, data, CPU, 2)
    group.load(LaneTrial(trial.training, 77, tag=77))
    lane = group.load(trial)
    results = [result for _ in range(n_steps) for result in group.step() if result.lane is lane]
    content = dump_checkpoint(group.state(lane), trial.training, trial.seed)
    other = LaneGroup(trial.training, data, CPU, 2)
    other.load(LaneTrial(trial.training, 78, tag=78))
    other.step()
    lane = other.load(trial, read_checkpoint(content, trial.training, trial.seed))
    while lane in other.lanes:
        results += [result for result in other.step() if result.lane is lane]
    return results


@pytest.mark.parametrize("n_steps", [1, 3, 7])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("model", [MODELS[2], MODELS[4]], ids=["mlp", "cnn"])
def test_a_resumed_trial_equals_one_without_a_break_to_the_last_bit(
    model: dict[str, Any], optimizer: str, n_steps: int, data: TrialData
) -> None:
    """The breaks are after the first step, between the first two epochs, and in the middle of the third."""
    trial = LaneTrial(
        training(model=model, optimizer=optimizer, momentum=0.5, learning_rate=0.03, **EVERYTHING), 5, tag=5
    )
    assert_equal(interrupted(trial, data, n_steps), alone(trial, data, torch.float32), 0.0)


def test_a_checkpoint_that_is_damaged_or_of_another_trial_is_an_error(data: TrialData) -> None:
    trial = LaneTrial(training(model="mlp"), 1)
    group = LaneGroup(trial.training, data, CPU, 1)
    content = dump_checkpoint(group.state(group.load(trial)), trial.training, 1)
    with pytest.raises(CheckpointError, match="safetensors"):
        read_checkpoint(content[: len(content) // 2], trial.training, 1)
    with pytest.raises(CheckpointError, match="safetensors"):
        read_checkpoint(b"", trial.training, 1)
    with pytest.raises(CheckpointError, match="same trial"):
        read_checkpoint(content, trial.training, 2)
    other = training(model={"name": "mlp", "hidden": [3]})
    with pytest.raises(CheckpointError, match="must fit the trial: values is"):
        LaneGroup(other, data, CPU, 1).load(LaneTrial(other, 1), read_checkpoint(content, trial.training, 1))


def test_a_failed_load_leaves_the_group_as_it_was(data: TrialData) -> None:
    trial = LaneTrial(training(model="mlp"), 1)
    state = (group := LaneGroup(trial.training, data, CPU, 2)).state(group.load(trial))
    del state.tensors["optimizer.n_steps"]
    with pytest.raises(CheckpointError, match="n_steps is missing"):
        group.load(trial, state)
    assert len(group.lanes) == 1
    group.load(LaneTrial(trial.training, 2))
    group.step()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_saved_model_is_the_model_that_was_trained(model: dict[str, Any], data: TrialData, tmp_path: Path) -> None:
    trial = LaneTrial(training(model=model), 1, tag=1)
    group = LaneGroup(trial.training, data, CPU, 1)
    last = run(group, [trial])[1][-1]
    assert last.weights is not None
    path = tmp_path / "model.safetensors"
    lease = Lease.model_validate(lease_json() | {"training": trial.training.model_dump(mode="json")})
    description = describe_model(lease, {"validation_accuracy": 0.5}, data)
    path.write_bytes(dump_model(last.lane.state_dict(last.weights), description))
    found, description = load_model(path)
    assert (description["study"], description["metrics"]) == ("digits", {"validation_accuracy": 0.5})
    mean, std = (torch.tensor(description[name]).view(-1, 1, 1) for name in ("mean", "std"))
    images = (data.images[:8].float() - mean) / std
    with torch.no_grad():
        torch.testing.assert_close(found(images), group.model(last.lane, last.weights)(images), rtol=0, atol=0)


def test_a_file_that_is_no_model_is_refused(data: TrialData, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(dump_model({"weight": torch.zeros(2)}, {"version": 1}))
    with pytest.raises(CheckpointError, match="must be one that narrows has written"):
        load_model(path)
