"""What a worker was started with for users' code: the prefixes that it allows, and where code and data are."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class UserCode:
    """Which entrypoints a worker runs, by the prefixes of their modules, and a folder where Python finds them too."""

    allow: tuple[str, ...] = ()
    code: Path | None = None
    data_dir: Path = Path()
    download: bool = False
    n_lanes: int | None = None
    """Of own models and data sets, that the built-in trainer trains; None for as many as are fastest."""
