"""A worker's options for users' code."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from service.schemas.study.entrypoints import is_allowed


@dataclass(frozen=True)
class UserCodeOptions:
    """What users' code a worker runs, and with what.

    allow: prefixes of the modules whose entrypoints it runs. code: a folder where Python finds modules, besides the
    installed ones.
    """

    allow: tuple[str, ...] = ()
    code: Path | None = None
    data_dir: Path = Path()
    download: bool = False
    n_lanes: int | None = None
    """Lanes for custom models and data sets; None chooses the fastest number."""

    def refusal(self, entrypoints: Iterable[str]) -> str | None:
        """Why this worker does not run the entrypoints; None if it runs all of them."""
        for entrypoint in entrypoints:
            if not is_allowed(entrypoint, self.allow):
                return f"this worker does not allow the entrypoint {entrypoint} (--allow)"
        return None
