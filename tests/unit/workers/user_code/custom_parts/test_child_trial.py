from pathlib import Path

import pytest

from tests.unit.workers.user_code.custom_parts.trainer_harness import group_here, leased
from workers.lanes.lane import LaneTrial
from workers.saved.files import dump_checkpoint, previous_checkpoint
from workers.user_code.custom_parts.child_trial import newest_state

pytestmark = pytest.mark.processes


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
