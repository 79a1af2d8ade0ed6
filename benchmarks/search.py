"""Epochs until a search is within 0.01 of the best accuracy: every sampler with every pruner, on recorded trainings.

    python -m benchmarks.search [--task mnist-mlp …] [--samplers random tpe …] [--pruners none median …]
        [--seeds 50] [--gp-seeds 50] [--processes N] [--record]

Nothing is trained: a suggested configuration gets the mean curve of the five recorded ones that are nearest to it (see
benchmarks/recorded: thousands of random configurations that Narrows has trained to their end). Four trials train at a
time. Samplers and pruners are those that the service builds from a definition; `optuna` is what `create_study()` of
Optuna takes by itself. A search ends with the first complete trial whose validation accuracy is within 0.01 of the best
recorded one, or with the epochs of fifty whole trainings.
"""

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
import torch
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from benchmarks import machine
from benchmarks.recorded.replay import N_WORKERS, Searched, search
from benchmarks.recorded.table import Table
from benchmarks.recorded.tasks import TASKS, Task
from service.pruners import build_pruner
from service.samplers import build_sampler

SAMPLERS = ("random", "tpe", "gp", "cmaes", "auto")
PRUNERS = ("none", "median", "successive_halving", "hyperband")
OPTUNA = "optuna"
DEFAULT = "default"
"""What a definition without a sampler and without a pruner gets."""
MARGIN = 0.01
"""Of accuracy."""
BUDGET_TRIALS = 50
N_RESAMPLED = 2000
HEADER = (
    "| task | sampler | pruner | epochs to within 0.01 of the best: median (90 % interval) | × the default "
    "| quarter, three quarters | reached |\n| --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Arm:
    """One row; `pruner` is empty where the sampler's name stands for both."""

    task: str
    sampler: str
    pruner: str


def arms(tasks: Sequence[str], samplers: Sequence[str], pruners: Sequence[str]) -> Iterator[Arm]:
    for task in tasks:
        yield Arm(task, DEFAULT, "")
        yield Arm(task, OPTUNA, "")
        for sampler in samplers:
            for pruner in pruners:
                yield Arm(task, sampler, pruner)


def run_one(job: tuple[Arm, int]) -> Searched:
    """One search of an arm, with a seed."""
    arm, seed = job
    torch.set_num_threads(1)  # the GP's; processes share the cores
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    task = TASKS[arm.task]
    table = Table.load(arm.task, task.space)
    return search(table, *built(arm, task, seed), table.best - MARGIN, BUDGET_TRIALS * task.epochs)


def built(arm: Arm, task: Task, seed: int) -> tuple[BaseSampler, BasePruner]:
    """The arm's sampler and pruner. The default's sampler gets a seed too, and is otherwise as it comes."""
    if arm.sampler == OPTUNA:
        return optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner()
    if arm.sampler == DEFAULT:
        sampler = task.definition().sampler.model_dump() | {"seed": seed}
        definition = task.definition(sampler=sampler)
    else:
        sampler = {"name": arm.sampler, "seed": seed}
        definition = task.definition(sampler=sampler, pruner=_pruner(arm.pruner, task))
    return build_sampler(definition, 0), build_pruner(definition.pruner)


def _pruner(name: str, task: Task) -> dict[str, object]:
    """Rungs are set by the epochs of the task, where the pruner has rungs; the rest is the pruner's own default."""
    if name == "hyperband":
        return {"name": name, "min_resource": 1, "max_resource": task.epochs}
    if name == "successive_halving":
        return {"name": name, "min_resource": 1}
    return {"name": name}


def epochs(found: Sequence[Searched]) -> list[float]:
    """Infinity for a search that spent its budget first."""
    return [math.inf if one.epochs is None else one.epochs for one in found]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """90 % interval of the median, by the bootstrap (always the same draws)."""
    draws = np.random.default_rng(0).choice(np.asarray(values), (N_RESAMPLED, len(values)))
    low, high = np.quantile(np.sort(draws, 1)[:, len(values) // 2], [0.05, 0.95], method="nearest")
    return float(low), float(high)


def rows(found: dict[Arm, list[Searched]]) -> Iterator[str]:
    for arm, searches in found.items():
        values = epochs(searches)
        default = statistics.median(epochs(found[Arm(arm.task, DEFAULT, "")]))
        middle = statistics.median_low(values)
        low, high = interval(values)
        first, third = np.quantile(values, [0.25, 0.75], method="nearest")
        cells = [
            arm.task,
            arm.sampler,
            arm.pruner,
            f"{_written(middle)} ({_written(low)} to {_written(high)})",
            "" if math.isinf(middle) or math.isinf(default) else f"{middle / default:.2f}",
            f"{_written(float(first))}, {_written(float(third))}",
            f"{sum(math.isfinite(value) for value in values)} of {len(values)}",
        ]
        yield f"| {' | '.join(cells)} |"


def _written(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"


def introduction(arguments: argparse.Namespace) -> Iterator[str]:
    yield from ("# Search: epochs until it is within 0.01 of the best accuracy", "", machine.describe())
    budget = f"at most the epochs of {BUDGET_TRIALS} whole trainings"
    of_gp = f", {arguments.gp_seeds} of gp" if "gp" in arguments.samplers else ""
    yield f"- {arguments.seeds} seeds{of_gp}; {N_WORKERS} trials at a time; {budget}"
    for name in arguments.task:
        task, table = TASKS[name], Table.load(name, TASKS[name].space)
        good = table.share_good(table.best - MARGIN)
        yield (
            f"- {name}: {len(table.params):,} recorded configurations of {', '.join(task.space)}, {task.epochs} epochs;"
            f" the best ends at {table.best:.4f}, and {100 * good:.1f} % of them within {MARGIN} of it"
        )
    yield from ("", HEADER)


def run(arguments: argparse.Namespace) -> list[str]:
    chosen = list(arms(arguments.task, arguments.samplers, arguments.pruners))
    n_seeds = {arm: arguments.gp_seeds if arm.sampler == "gp" else arguments.seeds for arm in chosen}
    jobs = [(arm, seed) for arm in chosen for seed in range(n_seeds[arm])]
    found: dict[Arm, list[Searched]] = {arm: [] for arm in chosen}
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for (arm, seed), searched in zip(jobs, pool.imap(run_one, jobs), strict=True):
            found[arm].append(searched)
            if seed == n_seeds[arm] - 1:
                tell(f"{arm}: {_written(statistics.median_low(epochs(found[arm])))}")
    return [*introduction(arguments), *rows(found)]


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = machine.command_line(__doc__)
    parser.add_argument("--task", nargs="+", choices=TASKS, help="without it: all")
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=SAMPLERS)
    parser.add_argument("--pruners", nargs="+", default=list(PRUNERS), choices=PRUNERS)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--gp-seeds", type=int, default=50, help="of the GP, which takes 0.1 s for each suggestion")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    named = arguments.task or []  # so that the record of one task does not take the place of another's
    arguments.task = named or list(TASKS)
    machine.print_table("-".join(["search", *named]), run(arguments), record=arguments.record)


if __name__ == "__main__":
    main()
