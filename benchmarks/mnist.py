"""Trials per hour on MNIST, against Optuna's PyTorch example loop; and the time that workers do not train.

    python -m benchmarks.mnist [--trials 12] [--epochs 5] [--repeats 3] [--record]

Both train the same configurations (mlp [128, 64], Adam, batch 128, the same learning rates, weight decays and
dropout rates) for the same number of epochs without pruning, in turn, in one run. Narrows is measured from outside:
from the study's first claim to its last result, service, database and workers included, workers' start excluded.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import local, machine, optuna_example
from service.client import Client
from service.schemas.fields import Scalar
from service.schemas.results import Trial

SECONDS_PER_HOUR = 3600
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Measured:
    seconds: float
    accuracies: list[float]
    share_not_training: float = 0.0


def definition(name: str, trials: int, epochs: int) -> dict[str, Any]:
    return {
        "name": name,
        "search_space": {
            "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
            "weight_decay": {"type": "float", "low": 1e-8, "high": 1e-4, "log": True},
            "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        },
        "training": {"dataset": "mnist", "model": {"name": "mlp", "hidden": [128, 64]}, "epochs": epochs},
        "sampler": {"name": "random", "seed": 0},
        "pruner": "none",
        "n_trials": trials,
    }


def narrows(client: Client, name: str, trials: int, epochs: int) -> tuple[Measured, list[dict[str, Scalar]]]:
    """One study through the service; its figures and its configurations."""
    client.create_study(definition(name, trials, epochs))
    while (study := client.study(name)).state == "running":
        time.sleep(POLL_SECONDS)
    if trials != study.trial_counts.COMPLETE:
        raise RuntimeError(f"not all trials are complete: {study.trial_counts}")
    done = list(client.trials(name))
    started = min(trial.started_at for trial in done if trial.started_at)
    finished = max(trial.finished_at for trial in done if trial.finished_at)
    accuracies = [trial.values[0] for trial in done if trial.values]
    measured = Measured((finished - started).total_seconds(), accuracies, share_not_training(done))
    return measured, [trial.params for trial in done]


def share_not_training(trials: list[Trial]) -> float:
    """Waiting seconds of all trials as a share of all their seconds, as their workers measured them."""
    training = sum(trial.metrics["training_seconds"] for trial in trials)
    waiting = sum(trial.metrics["waiting_seconds"] for trial in trials)
    return waiting / (training + waiting)


def run(trials: int, epochs: int, repeats: int, peer_repeats: int, data_dir: Path) -> str:
    ours: list[Measured] = []
    theirs: list[Measured] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local.service(folder) as server, local.workers(server, folder, data_dir):
            client = Client(server)
            narrows(client, "warm-up", 4, 1)  # workers start and load the data; the peer reads files it has read before
            params: list[dict[str, Scalar]] = []
            for repeat in range(repeats):
                measured, params = narrows(client, f"mnist-{repeat}", trials, epochs)
                ours.append(measured)
        for _ in range(peer_repeats):  # after the workers are gone: the peer has the machine to itself
            theirs.append(Measured(*optuna_example.run_study(params, data_dir, epochs)))
    return table(trials, epochs, ours, theirs)


def table(trials: int, epochs: int, ours: list[Measured], theirs: list[Measured]) -> str:
    rows = [
        "# MNIST, mlp [128, 64]: trials per hour",
        "",
        machine.describe(),
        f"- {trials} trials of {epochs} epochs, 48,000 training and 12,000 validation images, no pruning",
        f"- median (least to largest) of {len(ours)} runs of Narrows and {len(theirs)} of the peer",
        "",
        "| | seconds | trials per hour | mean validation accuracy | time not training |",
        "| --- | --- | --- | --- | --- |",
    ]
    for label, measured in (("Optuna's PyTorch example loop", theirs), ("Narrows, all cores", ours)):
        seconds = [item.seconds for item in measured]
        accuracy = statistics.mean(value for item in measured for value in item.accuracies)
        share = (
            machine.spread([100 * item.share_not_training for item in measured], 2) + " %" if measured is ours else ""
        )
        per_hour = machine.spread([SECONDS_PER_HOUR * trials / value for value in seconds], 0)
        rows.append(f"| {label} | {machine.spread(seconds)} | {per_hour} | {accuracy:.4f} | {share} |")
    ratio = statistics.median(item.seconds for item in theirs) / statistics.median(item.seconds for item in ours)
    return "\n".join([*rows, "", f"Narrows finishes {ratio:.1f} times as many trials per hour.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-repeats", type=int, help="fewer for the peer, which takes minutes")
    parser.add_argument("--data-dir", type=Path, default=local.default_data_dir())
    parser.add_argument("--record", action="store_true", help="keep the table under benchmarks/records/")
    arguments = parser.parse_args()
    peer_repeats = arguments.peer_repeats or arguments.repeats
    text = run(arguments.trials, arguments.epochs, arguments.repeats, peer_repeats, arguments.data_dir)
    print(text)
    if arguments.record:
        print(f"kept as {machine.record('mnist', text).name}")


if __name__ == "__main__":
    main()
