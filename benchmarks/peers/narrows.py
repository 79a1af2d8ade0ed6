"""Narrows as real processes, a service on SQLite and workers, measured from outside.

The clock runs from the study's first claim to its last result, so service, database and reports are included. A study
before it lets every worker read the data and measure its number of lanes; that is not counted.
"""

import re
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import local
from benchmarks.peers.cases import Setup
from benchmarks.peers.outcomes import N_STARTUP_TRIALS, N_WARMUP_STEPS, Measured, Outcome
from service.client import Client
from service.schemas.results import Trial

POLL_SECONDS = 0.1
MOST_WARM_UPS = 20
MEDIAN = {"name": "median", "n_startup_trials": N_STARTUP_TRIALS, "n_warmup_steps": N_WARMUP_STEPS}
ACCOUNT = re.compile(r"ends after ([\d.]+) s training.* ([\d.]+)% of lanes empty")


def measure(setup: Setup, lanes: str, n_processes: int) -> Measured:
    """Run a service and workers, train all configurations as a study, and return how it went."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = ("--lanes", lanes, "--devices", setup.device)
        with local.service(folder) as server:
            client = Client(server)
            with local.workers(server, folder, setup.data_dir, n_processes, *flags):
                _warm_up(client, setup, n_processes)
                trials = _run(client, definition(setup, "measured"))
        return _measured(trials, (folder / "worker.log").read_text())


def _warm_up(client: Client, setup: Setup, n_processes: int) -> None:
    """Run studies of one epoch until every process has had a trial.

    They have as many trials as the measured study, because no process uses more lanes than a study needs.
    """
    warm: set[str | None] = set()
    for number in range(MOST_WARM_UPS):
        warm_up = definition(setup, f"warm-up-{number}")
        warm_up |= {"n_trials": max(setup.trials, 2 * n_processes), "pruner": "none", "enqueue": []}
        warm_up["training"]["epochs"] = 1
        warm |= {trial.worker for trial in _run(client, warm_up)}
        if len(warm) == n_processes:
            return
    raise RuntimeError(f"only {len(warm)} of {n_processes} workers took a trial of {MOST_WARM_UPS} studies")


def definition(setup: Setup, name: str) -> dict[str, Any]:
    """Return the definition of a study that trains all configurations of a setup."""
    return {
        "name": name,
        "search_space": setup.case.space,
        "training": setup.case.training(setup.epochs),
        "sampler": {"name": "random", "seed": 0},
        "pruner": MEDIAN if setup.pruning == "median" else "none",
        "n_trials": setup.trials,
        "enqueue": setup.configurations,
    }


def _run(client: Client, definition: dict[str, Any]) -> list[Trial]:
    name = client.create_study(definition).name
    while (study := client.study(name)).state == "running":
        time.sleep(POLL_SECONDS)
    if study.trial_counts.FAIL:
        raise RuntimeError(f"{name}: trials failed: {study.trial_counts}")
    return list(client.trials(name))


def _measured(trials: list[Trial], log: str) -> Measured:
    began = min(_started(trial) for trial in trials)
    outcomes = [
        Outcome(
            (_finished(trial) - began).total_seconds(),
            trial.metrics["validation_accuracy"],
            1 + (trial.step or 0),
            trial.state == "PRUNED",
        )
        for trial in trials
    ]
    return Measured(max(one.seconds for one in outcomes), outcomes, _share_waiting(trials), _share_empty(log))


def _share_waiting(trials: list[Trial]) -> float:
    """Share of the time that workers waited with all lanes, from their first claim to their last result.

    Complete trials report it. Waiting between other trials is included in the next complete trial.
    """
    waited = sum(trial.metrics.get("waiting_seconds", 0.0) for trial in trials)
    spans: dict[str | None, list[Trial]] = {}
    for trial in trials:
        spans.setdefault(trial.worker, []).append(trial)
    seconds = sum((max(map(_finished, some)) - min(map(_started, some))).total_seconds() for some in spans.values())
    return waited / seconds


def _share_empty(log: str) -> float:
    """Mean share of lanes that were empty while others trained, from the log lines of workers that end."""
    accounts = [(float(seconds), float(percent) / 100) for seconds, percent in ACCOUNT.findall(log)]
    rounded = 0.1  # of the seconds in the log, where a short run has none
    return statistics.fmean((share for _, share in accounts), (max(rounded, seconds) for seconds, _ in accounts))


def _started(trial: Trial) -> datetime:
    assert trial.started_at is not None
    return trial.started_at


def _finished(trial: Trial) -> datetime:
    assert trial.finished_at is not None
    return trial.finished_at
