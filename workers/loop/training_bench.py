from typing import Protocol

from workers.bench.bench import Broken, Finished
from workers.bench.work import Work


class TrainingBench(Protocol):
    """What the loop needs of workers.bench.bench.Bench."""

    @property
    def n_lanes(self) -> int: ...

    @property
    def works(self) -> list[Work]: ...

    @property
    def n_in_lanes(self) -> int: ...

    @property
    def room(self) -> int: ...

    def n_soon_free(self, seconds: float) -> int: ...

    def begin(self, work: Work, most_lanes: int | None) -> None: ...

    def drop(self, lease_id: str) -> Work: ...

    def keep(self, work: Work) -> None: ...

    def step(self) -> list[Finished | Broken]: ...
