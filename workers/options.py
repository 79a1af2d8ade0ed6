import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

KeepModels = Literal["best", "all", "none"]
MOST_LANES = 1024


@dataclass(frozen=True)
class Options:
    """How workers are started on this machine. `narrows worker` fills them in: defaults live in its settings alone."""

    server: str
    devices: str
    processes: int | None
    study: str | None
    data_dir: Path
    download: bool
    exit_when_idle: float | None
    lanes: int | None
    checkpoint_seconds: float
    keep_models: KeepModels
    log_level: str
    device: str | None
    token: str | None

    def arguments(self, device: str) -> list[str]:
        """The command line of one process of the fleet; the token goes by the environment, where `ps` shows none."""
        given = {
            "--server": self.server,
            "--devices": self.devices,
            "--processes": self.processes,
            "--study": self.study,
            "--data-dir": str(self.data_dir),
            "--exit-when-idle": self.exit_when_idle,
            "--lanes": "auto" if self.lanes is None else self.lanes,
            "--checkpoint-seconds": self.checkpoint_seconds,
            "--keep-models": self.keep_models,
            "--log-level": self.log_level,
            "--device": device,
        }
        flags = [f"{flag}={value}" for flag, value in given.items() if value is not None]
        return [*flags, "--download" if self.download else "--no-download"]


def n_lanes(text: str) -> int | None:
    """None for auto. Raises ValueError."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LANES:
        raise ValueError(f"lanes must be auto or a number from 1 to {MOST_LANES}: {text!r}")
    return int(text)


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Started by `narrows worker`.")
    parser.add_argument("--server", required=True)
    parser.add_argument("--devices", required=True)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--study")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--download", action=argparse.BooleanOptionalAction, required=True)
    parser.add_argument("--exit-when-idle", type=float)
    parser.add_argument("--lanes", type=n_lanes, required=True)
    parser.add_argument("--checkpoint-seconds", type=float, required=True)
    parser.add_argument("--keep-models", choices=get_args(KeepModels), required=True)
    parser.add_argument("--log-level", required=True)
    parser.add_argument("--device", help="train on this device, in this very process, until stdin ends")
    return Options(**vars(parser.parse_args(arguments)), token=os.environ.get("NARROWS_TOKEN") or None)
