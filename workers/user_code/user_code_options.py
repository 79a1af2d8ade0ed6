"""A worker's options for users' code."""

from dataclasses import dataclass
from pathlib import Path

from service.schemas.protocol import Lease
from service.schemas.study.allowance import NOTHING, Allowance, Needs
from workers.user_code.working_folder import WorkingFolder


@dataclass(frozen=True)
class UserCodeOptions:
    """What users' code a worker runs, and with what.

    code: a folder where Python finds modules, besides the installed ones. python: the interpreter of commands whose
    program is `python`; None for the worker's own.
    """

    allowance: Allowance = NOTHING
    code: Path | None = None
    data_dir: Path = Path()
    download: bool = False
    n_lanes: int | None = None
    """Lanes for custom models and data sets; None chooses the fastest number."""
    keep_folders: Path | None = None
    """Where working folders are kept after their trials; None to remove them."""
    fresh_imports: bool = False
    """Start each trial with a new interpreter, which imports all anew."""
    python: Path | None = None

    def refusal(self, needs: Needs) -> str | None:
        """Why this worker does not run users' code with these needs; None if it does."""
        missing = needs.missing(self.allowance)
        return f"this worker does not allow {missing[0]} ({needs.flags()})" if missing else None

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
