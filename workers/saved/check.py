"""`python -m workers.saved.check FILE --data-dir DIR`: what a saved model is worth, as JSON: its figures on validation.

The file is what `narrows model` writes. It is loaded as anyone would load it, and the split is drawn anew.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from service.schemas.study.training import Training
from workers.data.trial_data import prepare
from workers.errors import CheckpointError, DatasetError, PrecisionError
from workers.models.evaluation import evaluate_model
from workers.saved.files import load_model
from workers.training.precision import autocast

FIGURES = ("validation_loss", "validation_accuracy")


def evaluate_saved_model(path: Path, data_dir: Path) -> dict[str, float]:
    """FIGURES of a built-in model. Raises CheckpointError, DatasetError, PrecisionError and OSError."""
    model, about = load_model(path)
    training, device = Training.model_validate(about["training"]), torch.device("cpu")
    data = prepare(training.dataset, data_dir, device, download=False)
    figures = evaluate_model(model, data, data.validation, autocast(training, device))
    return dict(zip(FIGURES, figures, strict=True))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(evaluate_saved_model(options.file, options.data_dir)))
    except (CheckpointError, DatasetError, PrecisionError, OSError) as error:
        print(f"narrows: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
