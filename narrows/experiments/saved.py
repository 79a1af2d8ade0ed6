"""The check that the best model of a search can be saved, loaded again, and has the recorded validation figures."""

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
    """The values of FIGURES that a trial recorded, and those of its model after loading."""

    trial: int
    recorded: Sequence[float]
    loaded: Sequence[float]


def save_and_load(client: Client, study: str, data_dir: str) -> Saved:
    """Download and load the model of the study's best trial.

    Raises CommandError when the model cannot be loaded, and ClientError.
    """
    from workers import __name__ as workers

    (best,) = client.best(study, 1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        client.download_artifact(study, best.number, "model", path)
        # Another process loads the model, so that this one does not import PyTorch.
        command = [sys.executable, "-P", "-m", f"{workers}.saved.check", str(path), f"--data-dir={data_dir}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise CommandError(f"the model of trial {best.number} of {study} cannot be loaded: {ran.stderr.strip()}")
    loaded = json.loads(ran.stdout)
    return Saved(best.number, [best.metrics[name] for name in FIGURES], [loaded[name] for name in FIGURES])


def saved_rows(label: str, saved: Sequence[Saved]) -> Rows:
    """Return a table with a row for each seed."""
    columns = [name.replace("_", " ") for name in FIGURES]
    header = ["trial", *(f"{column}, {when}" for column in columns for when in ("recorded", "loaded"))]
    rows = [
        [str(one.trial), *(number(value, 6) for pair in zip(one.recorded, one.loaded, strict=True) for value in pair)]
        for one in saved
    ]
    return Rows(f"The best model, saved and loaded again, {label}", header, rows)
