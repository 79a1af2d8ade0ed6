"""Ray Tune with the hand-written loop: one trial on each core, in processes that Ray uses again.

Trials are timed from the moment that the first of them trains, so the start of Ray and of its first processes is not
counted, and neither is its end. The same pruner of Optuna is asked at every result.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.peers import hand_written
from benchmarks.peers.cases import Setup
from benchmarks.peers.outcomes import Measured, Outcome, Watched, open_study
from benchmarks.peers.processes import warm_up

IS_INSTALLED = find_spec("ray") is not None


def measure(setup: Setup, n_cores: int) -> Measured:
    """Train all configurations of a setup with Ray Tune and return how it went."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves this machine
    import ray

    ray.init(num_cpus=n_cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        return _measure(setup, n_cores)
    finally:
        ray.shutdown()


def _measure(setup: Setup, n_cores: int) -> Measured:
    from ray import tune

    results = Results(setup)
    share = {"cpu": 1} | ({"gpu": 1 / n_cores} if setup.device.startswith("cuda") else {})
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(trainable(setup), share),
            param_space={"number": tune.grid_search(list(range(setup.trials)))},
            tune_config=tune.TuneConfig(reuse_actors=True),  # else each trial starts a process, which imports torch
            run_config=tune.RunConfig(storage_path=folder, stop=results.take, verbose=0),
        )
        failed = tuner.fit().errors
    if failed or len(results.outcomes) < setup.trials:
        raise RuntimeError(f"Ray finished {len(results.outcomes)} of {setup.trials} trials: {failed}")
    return results.measured()


class Results:
    """Collects every result in Ray's own process and decides which trials are over."""

    def __init__(self, setup: Setup) -> None:
        self._study = open_study(setup.pruning, None)
        self._epochs = setup.epochs
        self._watched: dict[str, Watched] = {}
        self._began: list[float] = []
        self.outcomes: list[Outcome] = []

    def take(self, trial_id: str, result: Mapping[Any, Any]) -> bool:
        """Take a result of a trial and return whether the trial is over."""
        if trial_id not in self._watched:
            self._watched[trial_id] = Watched(self._study, self._epochs)
            self._began.append(result["began"])
        outcome = self._watched[trial_id].report(result["epoch"], result["accuracy"], result["now"])
        if outcome is not None:
            self.outcomes.append(outcome)
        return outcome is not None

    def measured(self) -> Measured:
        """Return the run with times since its first trial started."""
        began = min(self._began)
        outcomes = [replace(one, seconds=one.seconds - began) for one in self.outcomes]
        return Measured(max(one.seconds for one in outcomes), outcomes)


def trainable(setup: Setup) -> Callable[[dict[str, Any]], None]:
    """Return the function that Ray calls for each trial."""

    def train(config: dict[str, Any]) -> None:
        from ray import tune

        number = config["number"]
        loop = _loop(setup)
        began = time.perf_counter()  # one clock for all processes of a machine
        for epoch, accuracy in enumerate(loop(setup.configurations[number], number, setup.epochs)):
            tune.report({"epoch": epoch, "accuracy": accuracy, "began": began, "now": time.perf_counter()})

    return train


_loops: dict[str, hand_written.Train] = {}
"""Prepared loops of this process, which Ray uses for one trial after another."""


def _loop(setup: Setup) -> hand_written.Train:
    if setup.case.name not in _loops:
        torch.set_flush_denormal(True)
        torch.set_num_threads(1)
        data = setup.data()
        warm_up(setup, hand_written.prepare, data)
        _loops[setup.case.name] = hand_written.prepare(setup, data)
    return _loops[setup.case.name]
