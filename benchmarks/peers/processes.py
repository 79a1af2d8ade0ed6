"""Processes that train trials one after another. All are ready before the clock starts."""

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import torch

from benchmarks.peers.cases import Params, Setup, few
from benchmarks.peers.hand_written import Train
from benchmarks.peers.outcomes import Measured, Outcome, open_study, watch
from workers.data.trial_data import TrialData

Prepare = Callable[[Setup, TrialData], Train]
START_SECONDS = 300.0


@dataclass(frozen=True)
class _Process:
    train: Train
    study: optuna.Study
    epochs: int


_process: _Process
"""What this process of the pool has prepared."""


def measure(
    setup: Setup, prepare: Prepare, *, n_processes: int, n_threads: int, flush_denormals: bool = False
) -> Measured:
    """Train all configurations of a setup in `n_processes` processes and return how it went."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(n_processes, timeout=START_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "study.journal") if n_processes > 1 else None
        given = (setup, prepare, journal, n_threads, flush_denormals, ready)
        with ProcessPoolExecutor(n_processes, context, initializer=_begin, initargs=given) as pool:
            for future in [pool.submit(_is_ready) for _ in range(n_processes)]:
                future.result()
            began = time.perf_counter()
            futures = [pool.submit(_train, params, number) for number, params in enumerate(setup.configurations)]
            outcomes = [future.result() for future in futures]
    outcomes = [replace(outcome, seconds=outcome.seconds - began) for outcome in outcomes]
    return Measured(max(outcome.seconds for outcome in outcomes), outcomes)


def _begin(
    setup: Setup,
    prepare: Prepare,
    journal: Path | None,
    n_threads: int,
    flush_denormals: bool,
    ready: threading.Barrier,
) -> None:
    global _process
    torch.set_flush_denormal(flush_denormals)  # before torch starts its threads, which inherit it
    torch.set_num_threads(n_threads)
    data = setup.data()
    warm_up(setup, prepare, data)
    _process = _Process(prepare(setup, data), open_study(setup.pruning, journal), setup.epochs)
    ready.wait()


def warm_up(setup: Setup, prepare: Prepare, data: TrialData) -> None:
    """Take one step, in which torch loads its optimizers and prepares its kernels."""
    for _ in prepare(setup, few(data))(setup.configurations[0], 0, 1):
        pass


def _is_ready() -> None:
    """Start a process of the pool, which then waits for all others."""


def _train(params: Params, number: int) -> Outcome:
    return watch(_process.study, _process.epochs, _process.train(params, number, _process.epochs))
