"""Epochs until a search is within 0.01 of the best accuracy, by sampler and pruner, on recorded trainings.

    python -m benchmarks.search [--task mnist-mlp …] [--samplers random tpe …] [--pruners none median …]
        [--seeds 50] [--first-seed 0] [--gp-seeds 5] [--processes N] [--record]

Nothing is trained. A suggested configuration gets the mean curve of the five recorded configurations nearest to it.
benchmarks/recorded holds thousands of random configurations that Narrows has trained to the end. Four trials train at a
time. Samplers and pruners are those that the service builds from a definition; `optuna` is what Optuna's
`create_study()` uses by default. A search ends with the first complete trial whose validation accuracy is within 0.01
of the best recorded one, or after the epochs of fifty whole trainings.
"""

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import optuna
import torch
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from benchmarks import machine
from benchmarks.recorded.replay import N_WORKERS, Searched, search
from benchmarks.recorded.table import Table
from benchmarks.recorded.tasks import TASKS, Task
from service.pruning.pruners import build_pruner
from service.sampling.samplers import build_sampler
from service.schemas.study.definition import Definition

Json = Mapping[str, object]

OPTUNA = "optuna"
DEFAULT = "default"
"""What a definition without a sampler and without a pruner gets."""
SAMPLERS: dict[str, Json] = {
    "random": {"name": "random"},
    "tpe": {"name": "tpe"},
    "cmaes": {"name": "cmaes"},
    "gp": {"name": "gp"},
}
TPE_VARIANTS: dict[str, Json] = {
    "tpe, each parameter by itself": {"name": "tpe", "multivariate": False, "group": False},
    "tpe, no constant liar": {"name": "tpe", "constant_liar": False},
    "tpe, 5 at random first": {"name": "tpe", "n_startup_trials": 5},
    "tpe, 20 at random first": {"name": "tpe", "n_startup_trials": 20},
}
"""Measured with the default's pruner alone."""
EPOCHS = "epochs of the task"
PRUNERS: dict[str, Json] = {
    "none": {"name": "none"},
    "median": {"name": "median"},
    "median, from epoch 2": {"name": "median", "n_warmup_steps": 1},
    "percentile 25": {"name": "percentile", "percentile": 25.0},
    "halving, 1 in 2": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 2},
    "halving, 1 in 2, after 2 trials": {
        "name": "successive_halving",
        "min_resource": 1,
        "reduction_factor": 2,
        "n_startup_trials": 2,
    },
    "halving, 1 in 2, after 5 trials": {
        "name": "successive_halving",
        "min_resource": 1,
        "reduction_factor": 2,
        "n_startup_trials": 5,
    },
    "halving, 1 in 2, from epoch 3": {"name": "successive_halving", "min_resource": 2, "reduction_factor": 2},
    "halving, 1 in 3": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 3},
    "halving, 1 in 4": {"name": "successive_halving", "min_resource": 1},
    "halving, 1 in 2, promote": {
        "name": "successive_halving",
        "min_resource": 1,
        "reduction_factor": 2,
        "promote": True,
    },
    "halving, 2 in 3, rungs × 1.6, promote": {
        "name": "successive_halving",
        "min_resource": 1,
        "reduction_factor": 1.5,
        "rung_factor": 1.6,
        "promote": True,
    },
    "hyperband, 1 in 2": {"name": "hyperband", "max_resource": EPOCHS, "reduction_factor": 2},
    "hyperband, 1 in 3": {"name": "hyperband", "max_resource": EPOCHS},
    "hyperband, 1 in 3, promote": {"name": "hyperband", "max_resource": EPOCHS, "promote": True},
}
FEW_PRUNERS = (
    "none",
    "median",
    "halving, 1 in 2",
    "halving, 1 in 2, after 2 trials",
    "halving, 1 in 2, promote",
    "halving, 2 in 3, rungs × 1.6, promote",
)
"""Pruners that are measured with every sampler and on cut tasks. The others are measured only with TPE."""
MARGIN = 0.01
"""Difference of validation accuracy that counts as reaching the best."""
BUDGET_TRIALS = 50
N_RESAMPLED = 2000
HEADER = (
    "| task | sampler | pruner | epochs to within 0.01 of the best: median (90 % interval) | × the default "
    "| quarter, three quarters | mean, at most all | reached |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Arm:
    """One row of the table. `pruner` is empty if `sampler` names both, or for the default pruner."""

    task: str
    sampler: str
    pruner: str = ""


def arms(tasks: Sequence[str], samplers: Sequence[str], pruners: Sequence[str]) -> Iterator[Arm]:
    """Yield the rows to measure, given the chosen tasks, samplers and pruners."""
    for task in tasks:
        yield Arm(task, DEFAULT)
        yield Arm(task, OPTUNA)
        is_cut = TASKS[task].record != ""
        for sampler in (sampler for sampler in samplers if sampler == "tpe" or not is_cut):
            measured = tuple(PRUNERS) if sampler == "tpe" and not is_cut else FEW_PRUNERS
            yield from (Arm(task, sampler, pruner) for pruner in pruners if pruner in measured)
        if "tpe" in samplers and not is_cut:
            yield from (Arm(task, variant) for variant in TPE_VARIANTS)


def run_one(job: tuple[Arm, int, int]) -> Searched:
    """Run one search of an arm with a seed and a number of spare trials."""
    arm, seed, n_spare = job
    torch.set_num_threads(1)  # the GP's; processes share the cores
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    task, table = TASKS[arm.task], recorded(arm.task)
    return search(table, *built(arm, task, seed), table.best - MARGIN, BUDGET_TRIALS * task.epochs, n_spare)


@cache
def recorded(task: str) -> Table:
    """Return the recorded trainings of a task, which are loaded once in each process."""
    return Table.of_task(TASKS[task])


def built(arm: Arm, task: Task, seed: int) -> tuple[Definition, BaseSampler, BasePruner]:
    """Return the definition of an arm's study, its sampler and its pruner.

    The study's name contains the seed, because hyperband assigns trials to brackets by the name.
    """
    sampler = {**SAMPLERS, **TPE_VARIANTS}.get(arm.sampler, task.definition().sampler.model_dump())
    fields: dict[str, object] = {"name": f"{task.name}-{seed}", "sampler": {**sampler, "seed": seed}}
    if arm.sampler == OPTUNA:
        definition = task.definition(**fields, pruner="median")
        return definition, optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner()
    if arm.pruner:
        options = PRUNERS[arm.pruner].items()
        fields["pruner"] = {name: task.epochs if value == EPOCHS else value for name, value in options}
    definition = task.definition(**fields)
    return definition, build_sampler(definition, 0), build_pruner(definition.pruner)


def epochs(found: Sequence[Searched]) -> list[float]:
    """Return the epochs of each search; infinity if it used up its budget first."""
    return [math.inf if one.epochs is None else one.epochs for one in found]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 90 % interval of the median by the bootstrap, always with the same draws."""
    draws = np.random.default_rng(0).choice(np.asarray(values), (N_RESAMPLED, len(values)))
    low, high = np.quantile(np.sort(draws, 1)[:, len(values) // 2], [0.05, 0.95], method="nearest")
    return float(low), float(high)


def rows(found: dict[Arm, list[Searched]]) -> Iterator[str]:
    """Yield the table row of each arm."""
    for arm, searches in found.items():
        values = epochs(searches)
        default = statistics.median_low(epochs(found[Arm(arm.task, DEFAULT)]))
        middle = statistics.median_low(values)
        low, high = interval(values)
        first, third = np.quantile(values, [0.25, 0.75], method="nearest")
        budget = BUDGET_TRIALS * TASKS[arm.task].epochs
        cells = [
            arm.task,
            arm.sampler,
            arm.pruner,
            f"{_written(middle)} ({_written(low)} to {_written(high)})",
            "" if math.isinf(middle) or math.isinf(default) else f"{middle / default:.2f}",
            f"{_written(float(first))}, {_written(float(third))}",
            _written(statistics.fmean(min(value, budget) for value in values)),
            f"{sum(math.isfinite(value) for value in values)} of {len(values)}",
        ]
        yield f"| {' | '.join(cells)} |"


def _written(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"


def introduction(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the heading, machine, settings and tasks of the report."""
    yield from ("# Search: epochs until it is within 0.01 of the best accuracy", "", machine.describe())
    budget = f"at most the epochs of {BUDGET_TRIALS} whole trainings"
    of_gp = f", {arguments.gp_seeds} of gp" if "gp" in arguments.samplers else ""
    yield f"- {arguments.seeds} seeds from {arguments.first_seed} on{of_gp}; {N_WORKERS} trials at a time; {budget}"
    for name in arguments.task:
        task, table = TASKS[name], recorded(name)
        good = table.share_good(table.best - MARGIN)
        yield (
            f"- {name}: {len(table.params):,} recorded configurations of {', '.join(task.space)}, {task.epochs} epochs;"
            f" the best ends at {table.best:.4f}, and {100 * good:.1f} % of them within {MARGIN} of it"
        )
    yield from ("", HEADER)


def run(arguments: argparse.Namespace) -> list[str]:
    """Run all searches in parallel processes and return the lines of the report."""
    chosen = list(arms(arguments.task, arguments.samplers, arguments.pruners))
    n_seeds = {arm: arguments.gp_seeds if arm.sampler == "gp" else arguments.seeds for arm in chosen}
    first = arguments.first_seed
    jobs = [(arm, first + seed, arguments.spare) for arm in chosen for seed in range(n_seeds[arm])]
    found: dict[Arm, list[Searched]] = {arm: [] for arm in chosen}
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for (arm, seed, _), searched in zip(jobs, pool.imap(run_one, jobs), strict=True):
            found[arm].append(searched)
            if seed == first + n_seeds[arm] - 1:
                print_progress(f"{arm}: {_written(statistics.median_low(epochs(found[arm])))}")
    return [*introduction(arguments), *rows(found)]


def print_progress(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--task", nargs="+", choices=TASKS, help="without it: all")
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=SAMPLERS)
    parser.add_argument("--pruners", nargs="+", default=list(PRUNERS), choices=PRUNERS)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--gp-seeds", type=int, default=5, help="of the GP, which takes 0.1 s for each suggestion")
    parser.add_argument("--spare", type=int, default=0, help="trials claimed in advance, beside those that train")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    named = arguments.task or []  # the name of the record; a part must not replace the record of all
    arguments.task = named or list(TASKS)
    machine.print_table("-".join(["search", *named]), run(arguments), record=arguments.record)


if __name__ == "__main__":
    main()
