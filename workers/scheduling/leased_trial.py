"""A trial under lease, as this process knows it."""

from dataclasses import dataclass, field

from service.schemas.protocol import Lease
from service.schemas.study.command_training import CommandTraining
from service.schemas.study.user_training import UserTraining
from workers.lanes.fusion_key import fusion_key
from workers.lanes.lane_state import LaneState

VALIDATION_METRICS = ("validation_loss", "validation_accuracy", "generalization_gap")
"""Metrics that are meaningless for a model that was trained on the validation data too."""


@dataclass
class LeasedTrial:
    """A trial that this process holds a lease of.

    state: the state to continue from when the trial is loaded again; None for its beginning.
    last_step: the last step that was reported, or is about to be; -1 before the first one.
    saved_at: when the state was last saved, in seconds of the loop's clock.
    new_user_attrs: how the trial is trained on this machine; not yet sent to the service.
    """

    lease: Lease
    state: LaneState | None = None
    last_step: int = -1
    saved_at: float = 0.0
    new_user_attrs: dict[str, str] = field(default_factory=dict)

    @property
    def lease_id(self) -> str:
        """The lease's id."""
        return self.lease.lease_id

    @property
    def title(self) -> str:
        """Study, number and, from the second on, attempt: how the log names the trial."""
        return title(self.lease)

    @property
    def key(self) -> str:
        """What trials that train together share: the fusion key, and the rows that they train on."""
        key = fusion_key(self.lease.built_in)
        return f"{key} with validation" if self.lease.train_on_validation else key

    def reportable_metrics(self, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics without those that are meaningless for this trial."""
        dropped = VALIDATION_METRICS if self.lease.train_on_validation else ()
        return {name: value for name, value in metrics.items() if name not in dropped}


def title(lease: Lease) -> str:
    """Study, number and, from the second on, attempt: how the log names a trial."""
    return f"{lease.study} #{lease.trial_number}" + (f" (attempt {lease.attempt})" if lease.attempt > 1 else "")


def need_of(lease: Lease) -> str:
    """What a machine must have for a trial, as a key: its data set with all options, entrypoint's module or program."""
    training = lease.training
    if isinstance(training, UserTraining):
        return training.entrypoint.partition(":")[0]
    if isinstance(training, CommandTraining):
        return training.command[0]
    return training.dataset.model_dump_json()
