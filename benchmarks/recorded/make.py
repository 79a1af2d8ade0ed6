"""Train the configurations of a task by a service and workers on this machine, and save what they reported.

python -m benchmarks.recorded.make mnist-mlp [--trials N] [--processes N]
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import local
from benchmarks.recorded.table import Table
from benchmarks.recorded.tasks import RECORDED, Task
from service.client import Client

POLL_SECONDS = 5.0


def make(task: Task, n_trials: int, data_dir: Path, processes: int | None) -> Table:
    """Run a study of random configurations to its end and return its trials as a table."""
    definition = task.definition(n_trials=n_trials, sampler={"name": "random", "seed": 0}, pruner="none")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            local.service(folder) as server,
            local.workers(server, folder, data_dir, processes, "--keep-models", "none"),
            Client(server) as client,
        ):
            client.create_study(definition)
            while (study := client.study(definition.name)).state == "running":
                print({state: n for state, n in study.trial_counts if n}, flush=True)
                time.sleep(POLL_SECONDS)
            trials = [(trial, client.curves(definition.name, trial.number)) for trial in client.trials(definition.name)]
    dataset = task.training["dataset"]
    n_validation = round(dataset["n_train"] * dataset["validation_fraction"])
    return Table.of_trials(task.space, trials, task.epochs, n_validation)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=RECORDED)
    parser.add_argument("--trials", type=int, help="instead of the task's own number")
    parser.add_argument("--processes", type=int, help="of workers; without it one per device or core")
    parser.add_argument("--data-dir", type=Path, default=local.default_data_dir())
    arguments = parser.parse_args()
    task = RECORDED[arguments.task]
    table = make(task, arguments.trials or task.trials, arguments.data_dir, arguments.processes)
    print(f"{table.save(task.name)}: {len(table.params)} trials, the best ended at {table.best:.4f}")


if __name__ == "__main__":
    main()
