"""Print validation loss and accuracy of a saved model as JSON: `python -m workers.saved.check FILE --data-dir DIR`.

FILE is written by `narrows model`. It is read by `load_model`, as users read it, and the validation split is drawn
again from the study's settings.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from service.schemas.study.training import Training
from service.schemas.terminal_text import printable
from workers.data.trial_data import prepare_data
from workers.errors import CheckpointError, DatasetError, PrecisionError
from workers.models.evaluation import evaluate_model
from workers.saved.files import load_model
from workers.training.precision import autocast

FIGURES = ("validation_loss", "validation_accuracy")
"""Keys of the printed JSON."""


def evaluate_saved_model(path: Path, data_dir: Path) -> dict[str, float]:
    """Return FIGURES of a built-in model on the CPU.

    Raises CheckpointError, DatasetError, PrecisionError and OSError.
    """
    model, about = load_model(path)
    training, device = Training.model_validate(about["training"]), torch.device("cpu")
    data = prepare_data(training.dataset, data_dir, device, download=False)
    figures = evaluate_model(model, data, data.validation, autocast(training, device))
    return dict(zip(FIGURES, figures, strict=True))


def main(arguments: list[str]) -> int:
    """Run the command with its arguments and return the exit status: 0, or 1 after an error message."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(evaluate_saved_model(options.file, options.data_dir)))
    except (CheckpointError, DatasetError, PrecisionError, OSError) as error:
        print(f"narrows: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
