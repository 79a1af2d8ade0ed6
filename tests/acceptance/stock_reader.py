"""A program of somebody else: for each line of its input it reads a whole database with stock Optuna, and prints it."""

import json
import sys

import optuna

from tests.acceptance.service_checks import seen


def main(url: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for _ in sys.stdin:
        found = {}
        storage = optuna.storages.get_storage(url)  # as load_study makes of an address, once for all studies
        for name in optuna.get_all_study_names(storage=storage):
            study = optuna.load_study(study_name=name, storage=storage)
            found[name] = [(*seen(trial)[:4], list(seen(trial).reports.items())) for trial in study.trials]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
