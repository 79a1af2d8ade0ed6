"""Trials of users' code that take a second and less, beside plain Optuna with the same objective.

    python -m benchmarks.own_code [--case import short …] [--repeats 3] [--record]

- import: ten trials, one process; the objective imports torch and returns.
- short: 200 trials, two processes; the objective sleeps for 50 ms and returns. On SQLite and on PostgreSQL.

Narrows is a real service with a worker that starts a process for each trial, by a fork or, with --fresh-imports, by a
new interpreter. Optuna runs `study.optimize(n_jobs=1)` in as many processes on one database. All use random search. The
clock runs from the start of the first trial to the end of the last one, so each process's first import counts and its
start does not.
"""

import argparse
import importlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
from optuna.study import MaxTrialsCallback

from benchmarks import local, machine
from benchmarks.storage import STUDY, database, open_rdb
from service.client import Client

MODULE = "own_objective"
POLL_SECONDS = 0.05
OBJECTIVE = """
import time


def objective(trial):
    began = time.time()
    {work}
    trial.set_user_attr("began", began)
    return trial.suggest_float("x", 0.0, 1.0)
"""


@dataclass(frozen=True)
class Case:
    """One objective, by the line that does its work."""

    work: str
    n_trials: int
    n_processes: int
    databases: tuple[str, ...]


CASES = {
    "import": Case("import torch", 10, 1, ("sqlite",)),
    "short": Case("time.sleep(0.05)", 200, 2, ("sqlite", "postgresql")),
}


@dataclass(frozen=True)
class Measured:
    """How long all trials took, and the pauses of a worker from the end of a trial to the first line of the next one.

    Both are in seconds. The pauses of other programs are unknown.
    """

    seconds: float
    pauses: list[float]


def narrows(case: Case, url: str, folder: Path, *flags: str) -> Measured:
    """Run a study by a service and a worker."""
    definition: dict[str, Any] = {
        "name": STUDY,
        "objectives": [{"metric": "x", "direction": "maximize"}],
        "training": {"entrypoint": f"{MODULE}:objective"},
        "sampler": "random",
        "n_trials": case.n_trials,
    }
    with local.service(folder, url) as server:
        client = Client(server)
        client.create_study(definition)
        own = ("--allow", MODULE, "--code", str(folder / "code"), *flags)
        with local.workers(server, folder, folder, case.n_processes, *own):
            while client.study(STUDY).state == "running":
                time.sleep(POLL_SECONDS)
        trials = list(client.trials(STUDY))
    if len(trials) != case.n_trials or any(trial.state != "COMPLETE" for trial in trials):
        raise RuntimeError(f"not all trials are complete: {[trial.reason for trial in trials]}")
    by_worker: defaultdict[str | None, list[tuple[float, float]]] = defaultdict(list)
    for trial in trials:
        by_worker[trial.worker].append((float(str(trial.user_attrs["began"])), _seconds(trial.finished_at)))
    pauses = [began - ended for some in by_worker.values() for (_, ended), (began, _) in pairwise(sorted(some))]
    return Measured(_whole([(trial.started_at, trial.finished_at) for trial in trials]), pauses)


def plain_optuna(case: Case, url: str, folder: Path) -> Measured:
    """Run `study.optimize` in processes that share a database."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=open_rdb(url), study_name=STUDY, direction="maximize")
    spawn = multiprocessing.get_context("spawn")
    arguments = [(case, url, folder / "code", seed) for seed in range(case.n_processes)]
    processes = [spawn.Process(target=_optimize, args=one) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    trials = optuna.load_study(storage=open_rdb(url), study_name=STUDY).trials[: case.n_trials]
    return Measured(_whole([(trial.datetime_start, trial.datetime_complete) for trial in trials]), [])


def _optimize(case: Case, url: str, code: Path, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sys.path.insert(0, str(code))
    objective = importlib.import_module(MODULE).objective
    study = optuna.load_study(storage=open_rdb(url), study_name=STUDY, sampler=optuna.samplers.RandomSampler(seed=seed))
    study.optimize(objective, n_jobs=1, callbacks=[MaxTrialsCallback(case.n_trials)])


def _whole(spans: list[tuple[datetime | None, datetime | None]]) -> float:
    """Seconds from the first start to the last end. Optuna's times have no zone; they are this machine's."""
    return max(_seconds(end) for _, end in spans) - min(_seconds(start) for start, _ in spans)


def _seconds(moment: datetime | None) -> float:
    assert moment is not None, "the trial has ended"
    return moment.timestamp()


Peer = Callable[[Case, str, Path], Measured]
PEERS: dict[str, Peer] = {
    "Optuna": plain_optuna,
    "Narrows": narrows,
    "Narrows, --fresh-imports": lambda case, url, folder: narrows(case, url, folder, "--fresh-imports"),
}


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    head = [
        "# Trials of users' code that take a second and less",
        "",
        machine.describe(),
        f"- median of {arguments.repeats} (least to largest); peers in turn, each with the machine to itself",
        "",
        "| case | database | program | seconds | trials/min | pause before the next trial, ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    machine.print_table("own-code", head, rows(arguments), record=arguments.record)


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """Measure and describe each peer, one row each."""
    for name in arguments.case:
        case = CASES[name]
        for kind in case.databases:
            runs: defaultdict[str, list[Measured]] = defaultdict(list)
            for _ in range(arguments.repeats):
                for peer, measure in PEERS.items():
                    runs[peer].append(run(measure, case, kind))
            for peer, measured in runs.items():
                yield row(f"{name} | {kind} | {peer}", case, measured)


def run(measure: Peer, case: Case, kind: str) -> Measured:
    """Measure a case once, with a database and a folder of its own."""
    with tempfile.TemporaryDirectory() as name, database(kind) as url:
        code = Path(name, "code")
        code.mkdir()
        (code / f"{MODULE}.py").write_text(OBJECTIVE.format(work=case.work))
        return measure(case, url, Path(name))


def row(label: str, case: Case, runs: list[Measured]) -> str:
    """A row of the table."""
    seconds = machine.spread([one.seconds for one in runs])
    rates = machine.spread([60 * case.n_trials / one.seconds for one in runs], 0)
    pauses = [1000 * statistics.median(one.pauses) for one in runs if one.pauses]
    return f"| {label} | {seconds} | {rates} | {machine.spread(pauses, 0) if pauses else 'not known'} |"


if __name__ == "__main__":
    main()
