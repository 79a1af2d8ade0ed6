from dataclasses import dataclass

from service.schemas.protocol import Lease
from workers.lanes.state import LaneState


@dataclass
class Work:
    """A trial that this process has under lease.

    `state` is where it goes on when it has to be loaded again, None for its beginning; `last_step` is the last that
    the service has a report of, or will have; `saved_at` is when its state was last kept, by the loop's clock.
    """

    lease: Lease
    state: LaneState | None = None
    last_step: int = -1
    saved_at: float = 0.0

    @property
    def lease_id(self) -> str:
        return self.lease.lease_id

    @property
    def title(self) -> str:
        lease = self.lease
        return f"{lease.study} #{lease.trial_number}" + (f" (attempt {lease.attempt})" if lease.attempt > 1 else "")
