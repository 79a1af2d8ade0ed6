"""Reads and pruning checks of this storage, against Optuna's InMemoryStorage with the same trials.

    python -m benchmarks.reads [--finished 0 1000 10000] [--database sqlite] [--repeats 5] [--record]

Neither storage reads from a database here, so only their own code differs. The comparison shows that keeping everything
on disk costs a reader nothing. Both hold the same finished trials and one running trial, which is checked for pruning.
"""

import statistics
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from benchmarks import machine
from benchmarks.storage import BOTH, N_REPORTS, PARAMETERS, STUDY, copy_finished, database, fill
from storage import GroupCommitStorage

SLICE_SECONDS = 0.05


@dataclass(frozen=True)
class Case:
    """One study in one storage, and its running trial."""

    storage: BaseStorage
    study_id: int
    trial: optuna.Trial


def open_case(storage: BaseStorage) -> Case:
    """Load the study from a storage and start a trial with reports in it."""
    study = optuna.load_study(
        study_name=STUDY,
        storage=storage,
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(),
    )
    trial = study.ask(PARAMETERS)
    for step in range(N_REPORTS):
        trial.report(0.5, step)
    return Case(storage, study._study_id, trial)


COMPLETE = (TrialState.COMPLETE,)
WAITING = (TrialState.WAITING,)
READS: dict[str, Callable[[Case], object]] = {
    "get_all_trials(deepcopy=False)": lambda case: case.storage.get_all_trials(case.study_id, deepcopy=False),
    "get_all_trials(deepcopy=True)": lambda case: case.storage.get_all_trials(case.study_id),
    "get_all_trials(states=COMPLETE)": lambda case: case.storage.get_all_trials(case.study_id, False, COMPLETE),
    "get_all_trials(states=WAITING)": lambda case: case.storage.get_all_trials(case.study_id, False, WAITING),
    "get_trial": lambda case: case.storage.get_trial(case.trial._trial_id),
    "get_trial_params": lambda case: case.storage.get_trial_params(case.trial._trial_id),
    "get_n_trials": lambda case: case.storage.get_n_trials(case.study_id),
    "get_n_trials(COMPLETE)": lambda case: case.storage.get_n_trials(case.study_id, TrialState.COMPLETE),
    "get_best_trial": lambda case: case.storage.get_best_trial(case.study_id),
    "get_study_directions": lambda case: case.storage.get_study_directions(case.study_id),
    "should_prune (MedianPruner)": lambda case: case.trial.should_prune(),
}
"""`get_best_trial` raises an error without finished trials, so it is left out then."""


def microseconds(calls: list[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Return `repeats` durations of each call in microseconds, measured in turn. Short calls are averaged over many."""
    timers = [timeit.Timer(call, timer=time.process_time) for call in calls]
    counts = [max(1, int(SLICE_SECONDS / max(timer.timeit(10) / 10, 1e-7))) for timer in timers]
    taken: list[list[float]] = [[] for _ in timers]
    for _ in range(repeats):
        for timer, count, times in zip(timers, counts, taken, strict=True):
            times.append(1e6 * timer.timeit(count) / count)
    return taken


def block(kind: str, n_finished: int, repeats: int) -> list[str]:
    """Return the table rows for one number of finished trials."""
    with database(kind) as url:
        fill(url, n_finished)
        memory = InMemoryStorage()
        copy_finished(url, memory)
        storage = GroupCommitStorage(url)
        cases = [open_case(storage), open_case(memory)]
        rows = []
        for name, read in READS.items():
            if name == "get_best_trial" and n_finished == 0:
                continue
            ours, theirs = microseconds([partial(read, case) for case in cases], repeats)
            ratio = statistics.median(ours) / statistics.median(theirs)
            rows.append(
                f"| {n_finished:,} | {name} | {machine.spread(ours)} | {machine.spread(theirs)} | {ratio:.2f} |"
            )
        storage.close()
        return rows


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 1_000, 10_000])
    parser.add_argument("--database", default="sqlite", choices=BOTH)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    head = [
        "# Reads and pruning checks: microseconds a call",
        "",
        machine.describe(),
        f"- {arguments.database}; trials of {len(PARAMETERS)} parameters and {N_REPORTS} reports, one caller",
        f"- median of {arguments.repeats} (least to largest) of the processor's time, the two storages in turn",
        "",
        "| finished trials | read | Narrows µs | InMemoryStorage µs | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = (line for number in arguments.finished for line in block(arguments.database, number, arguments.repeats))
    machine.print_table("reads", head, rows, record=arguments.record)


if __name__ == "__main__":
    main()
