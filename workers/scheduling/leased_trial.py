from dataclasses import dataclass, field

from service.schemas.protocol import Lease
from workers.lanes.fusion_key import fusion_key
from workers.lanes.lane_state import LaneState

HELD_OUT = ("validation_loss", "validation_accuracy", "generalization_gap")
"""What says nothing of a model that was trained on the validation data too."""


@dataclass
class LeasedTrial:
    """A trial that this process has under lease.

    `state` is where it goes on when it has to be loaded again, None for its beginning; `last_step` is the last that
    the service has a report of, or will have; `saved_at` is when its state was last kept, by the loop's clock. `notes`
    are to be kept with the trial, of how it is trained here.
    """

    lease: Lease
    state: LaneState | None = None
    last_step: int = -1
    saved_at: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def lease_id(self) -> str:
        return self.lease.lease_id

    @property
    def title(self) -> str:
        lease = self.lease
        return f"{lease.study} #{lease.trial_number}" + (f" (attempt {lease.attempt})" if lease.attempt > 1 else "")

    @property
    def key(self) -> str:
        """What trials that train together share: the fusion key, and which rows they train on."""
        key = fusion_key(self.lease.built_in)
        return f"{key} with validation" if self.lease.train_on_validation else key

    def reportable_metrics(self, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics that mean something."""
        dropped = HELD_OUT if self.lease.train_on_validation else ()
        return {name: value for name, value in metrics.items() if name not in dropped}
