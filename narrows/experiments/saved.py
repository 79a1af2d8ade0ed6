"""The best model of a search: brought to a file, loaded from it again, and evaluated on the validation split."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from narrows.errors import CommandError
from narrows.experiments.rows import Rows
from service.client import Client
from service.client.text import number

FIGURES = ("validation_accuracy", "validation_loss")


@dataclass(frozen=True)
class Saved:
    """FIGURES of a trial as they were recorded, and those of its model once it was loaded."""

    trial: int
    recorded: Sequence[float]
    loaded: Sequence[float]


def save_and_load(client: Client, study: str, data_dir: str) -> Saved:
    """Of the study's best trial. Raises CommandError when its model cannot be loaded, and what the client raises."""
    from workers import __name__ as workers

    (best,) = client.best(study, 1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        client.download_artifact(study, best.number, "model", path)
        # PyTorch stays out of this process: another program loads the model.
        command = [sys.executable, "-P", "-m", f"{workers}.saved.check", str(path), f"--data-dir={data_dir}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise CommandError(f"the model of trial {best.number} of {study} cannot be loaded: {ran.stderr.strip()}")
    found = json.loads(ran.stdout)
    return Saved(best.number, [best.metrics[name] for name in FIGURES], [found[name] for name in FIGURES])


def saved_rows(label: str, saved: Sequence[Saved]) -> Rows:
    """A line for each seed."""
    columns = [name.replace("_", " ") for name in FIGURES]
    header = ["trial", *(f"{column}, {when}" for column in columns for when in ("recorded", "loaded"))]
    rows = [
        [str(one.trial), *(number(value, 6) for pair in zip(one.recorded, one.loaded, strict=True) for value in pair)]
        for one in saved
    ]
    return Rows(f"The best model, saved and loaded again, {label}", header, rows)
