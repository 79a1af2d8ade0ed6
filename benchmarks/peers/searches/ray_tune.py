"""Ray Tune with the plain loop on each core, Optuna's sampler through Ray's own search, and Ray's median rule."""

import logging
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.peers.searches.digits import Search, Space, Train, print_trial, search_of_command, suggest, trainer

_trainers: list[Train] = []
"""That of this process, which Ray uses for one trial after another."""


def main() -> None:
    """Run the search, and print its trials at the end."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves this machine
    import optuna
    import ray
    from ray import tune
    from ray.tune.schedulers import MedianStoppingRule
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    search = search_of_command()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ray.init(num_cpus=search.n_processes, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)

    space = partial(_suggest, space=search.space)  # Ray pickles it
    sampler = OptunaSearch(space, metric="accuracy", mode="max", sampler=optuna.samplers.TPESampler(seed=0))
    share = {"cpu": 1} | ({"gpu": 1 / search.n_processes} if search.device.startswith("cuda") else {})
    tuner = tune.Tuner(
        tune.with_resources(_trainable(search), share),
        tune_config=tune.TuneConfig(
            num_samples=search.n_trials,
            search_alg=ConcurrencyLimiter(sampler, search.n_processes),
            scheduler=MedianStoppingRule(
                "training_iteration",
                "accuracy",
                "max",
                grace_period=search.n_warmup_steps + 1,
                min_samples_required=search.n_startup_trials,
            ),
            reuse_actors=True,  # else each trial starts a process, which imports torch
        ),
        run_config=tune.RunConfig(storage_path=search.folder, verbose=0),
    )
    for result in tuner.fit():
        if result.error is not None or result.metrics is None:
            raise RuntimeError(f"a trial of Ray failed: {result.error}")
        n_epochs = result.metrics["training_iteration"]
        print_trial(result.metrics["accuracy"], n_epochs, pruned=n_epochs < search.epochs)
    ray.shutdown()


def _suggest(trial: Any, space: Space) -> None:
    """Ray takes the parameters from the trial."""
    suggest(trial, space)


def _trainable(search: Search) -> Any:
    def train(config: dict[str, Any]) -> None:
        from ray import tune

        for accuracy in _accuracies(search, config):
            tune.report({"accuracy": accuracy})

    return train


def _accuracies(search: Search, config: dict[str, Any]) -> Iterator[float]:
    import torch

    if not _trainers:
        torch.set_num_threads(1)
        _trainers.append(trainer(search.device))
    return _trainers[0](search, config)


if __name__ == "__main__":
    main()
