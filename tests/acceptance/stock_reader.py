"""A program that only uses Optuna: for each line of its input it reads the whole database and prints it as JSON."""

import json
import sys

import optuna

from tests.acceptance.service_checks import seen


def main(url: str) -> None:
    """Print number, state, params, values and reports of every trial, by study, for each line of the input."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for _ in sys.stdin:
        studies = {}
        storage = optuna.storages.get_storage(url)  # what load_study makes of a URL, made once for all studies
        for name in optuna.get_all_study_names(storage=storage):
            study = optuna.load_study(study_name=name, storage=storage)
            studies[name] = [(*seen(trial)[:4], list(seen(trial).reports.items())) for trial in study.trials]
        print(json.dumps(studies), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
