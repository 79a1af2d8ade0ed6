"""A worker's options for users' code."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from service.schemas.protocol import Lease
from service.schemas.study.entrypoints import is_allowed
from workers.user_code.working_folder import WorkingFolder


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
    keep_folders: Path | None = None
    """Where working folders are kept after their trials; None to remove them."""

    def refusal(self, entrypoints: Iterable[str]) -> str | None:
        """Why this worker does not run the entrypoints; None if it runs all of them."""
        for entrypoint in entrypoints:
            if not is_allowed(entrypoint, self.allow):
                return f"this worker does not allow the entrypoint {entrypoint} (--allow)"
        return None

    def make_working_folder(self, scratch: Path, lease: Lease) -> WorkingFolder:
        """A new working folder for the process of a trial, in `scratch` unless it is to be kept. Raises OSError."""
        if self.keep_folders is None:
            return WorkingFolder(scratch / "work", self.code)
        name = f"trial-{lease.trial_number}-attempt-{lease.attempt}"
        path, number = self.keep_folders / lease.study / name, 1
        while path.exists():
            number += 1
            path = path.with_name(f"{name}-{number}")
        return WorkingFolder(path, self.code, self.keep_folders)
