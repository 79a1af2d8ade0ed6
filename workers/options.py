import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from service.schemas.study.entrypoints import MODULE_PATTERN

KeepModels = Literal["best", "all", "none"]
MAX_LANES = 1024


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
    allow: tuple[str, ...]
    code: Path | None
    tensorboard: Path | None
    mlflow: str | None
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
            "--code": self.code,
            "--tensorboard": self.tensorboard,
            "--mlflow": self.mlflow,
            "--log-level": self.log_level,
            "--device": device,
        }
        flags = [f"{flag}={value}" for flag, value in given.items() if value is not None]
        flags += [f"--allow={prefix}" for prefix in self.allow]
        return [*flags, "--download" if self.download else "--no-download"]


def n_lanes(text: str) -> int | None:
    """None for auto. Raises ValueError."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LANES:
        raise ValueError(f"lanes must be auto or a number from 1 to {MAX_LANES}: {text!r}")
    return int(text)


def prefix(text: str) -> str:
    """Raises ValueError for what is no module's name: nothing may be allowed by mistake."""
    if re.fullmatch(MODULE_PATTERN, text) is None:
        raise argparse.ArgumentTypeError(f"allow must name a module or package, as mypkg or mypkg.train: {text!r}")
    return text


def folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"code must be a folder: {text!r}")
    return path


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
    parser.add_argument("--allow", action="append", default=[], type=prefix)
    parser.add_argument("--code", type=folder)
    parser.add_argument("--tensorboard", type=lambda text: Path(text).resolve())
    parser.add_argument("--mlflow")
    parser.add_argument("--log-level", required=True)
    parser.add_argument("--device", help="train on this device, in this very process, until stdin ends")
    given = vars(parser.parse_args(arguments))
    given["allow"] = tuple(given["allow"])
    return Options(**given, token=os.environ.get("NARROWS_TOKEN") or None)
