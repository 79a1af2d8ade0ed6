"""A trial in the process that trains custom models."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from workers.errors import CheckpointError
from workers.lanes.lane_state import LaneState
from workers.saved.files import previous_checkpoint, read_checkpoint
from workers.scheduling.leased_trial import LeasedTrial
from workers.user_code.output_uploads import OutputUploads
from workers.user_code.written_files import read_file

logger = logging.getLogger("narrows.worker")

CHECKPOINT_ERRORS = (
    CheckpointError,
    OSError,
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a checkpoint can raise: user code may have written anything into the file."""


@dataclass
class ChildTrial:
    """A trial in the process. The process knows it only by `name`, and neither its lease nor the service.

    Times are those of the worker's monotonic clock. `last_epoch` is the last epoch that the process has reported.
    """

    name: str
    trial: LeasedTrial
    folder: Path
    uploads: OutputUploads
    started_at: float
    reported_at: float
    last_epoch: int
    is_started: bool = False

    @property
    def checkpoint(self) -> Path:
        """The file that the process writes the trial's state to."""
        return self.folder / "checkpoint.safetensors"

    @property
    def model(self) -> Path:
        """The file that the process writes the trained model to."""
        return self.folder / "model.safetensors"

    def remove_folder(self) -> None:
        """Remove the trial's files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def load_state(self, last_epoch: int) -> None:
        """Load the newest checkpoint into the trial's state, unless it is ahead of the reported epochs."""
        self.trial.state = newest_state(self.checkpoint, self.trial, last_epoch) or self.trial.state


def newest_state(checkpoint: Path, trial: LeasedTrial, last_epoch: int) -> LaneState | None:
    """Newest of the two checkpoints on disk that is not ahead of `last_epoch`, the last epoch the worker has received.

    None if both are ahead, or if none can be read.
    """
    lease = trial.lease
    for path in (checkpoint, previous_checkpoint(checkpoint)):
        if not path.exists():
            continue
        try:
            state = read_checkpoint(read_file(path, "a checkpoint"), lease.built_in, lease.seed)
        except CHECKPOINT_ERRORS as error:
            logger.warning("%s: its checkpoint cannot be read: %s", trial.title, error)
            continue
        if 0 <= state.n_epochs <= last_epoch + 1:
            return state
    return None
