"""How and when trials ended, in one form for all peers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

Pruning = Literal["none", "median"]
N_STARTUP_TRIALS = 5
N_WARMUP_STEPS = 1


@dataclass(frozen=True)
class Outcome:
    """How one trial ended.

    `seconds` are since the first trial of the run started; `accuracy` is that of its last epoch.
    """

    seconds: float
    accuracy: float
    epochs: int
    pruned: bool


@dataclass(frozen=True)
class Measured:
    """One run of all trials. Only Narrows has the shares `waiting` and `empty_lanes`, which its workers measure."""

    seconds: float
    outcomes: list[Outcome]
    waiting: float | None = None
    empty_lanes: float | None = None

    @property
    def complete(self) -> list[Outcome]:
        """The trials that were not pruned."""
        return [outcome for outcome in self.outcomes if not outcome.pruned]

    def seconds_to(self, accuracy: float) -> float | None:
        """Return the seconds until the first complete trial of at least this accuracy; None without one."""
        return min((one.seconds for one in self.complete if one.accuracy >= accuracy), default=None)


def open_study(pruning: Pruning, journal: Path | None) -> optuna.Study:
    """Open an Optuna study in memory, or in a file that processes share. Only its pruner is used."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    median = optuna.pruners.MedianPruner(n_startup_trials=N_STARTUP_TRIALS, n_warmup_steps=N_WARMUP_STEPS)
    return optuna.create_study(
        study_name="benchmark",
        direction="maximize",
        storage=None if journal is None else JournalStorage(JournalFileBackend(str(journal))),
        load_if_exists=True,
        pruner=optuna.pruners.NopPruner() if pruning == "none" else median,
    )


class Watched:
    """A trial whose epochs are reported to an Optuna study, which may prune it."""

    def __init__(self, study: optuna.Study, epochs: int) -> None:
        self._study = study
        self._trial = study.ask()
        self._epochs = epochs

    def report(self, epoch: int, accuracy: float, now: float) -> Outcome | None:
        """Report an epoch and return the outcome; None if the trial continues."""
        self._trial.report(accuracy, epoch)
        if self._trial.should_prune():
            self._study.tell(self._trial, state=TrialState.PRUNED)
            return Outcome(now, accuracy, epoch + 1, pruned=True)
        if epoch + 1 < self._epochs:
            return None
        self._study.tell(self._trial, accuracy)
        return Outcome(now, accuracy, epoch + 1, pruned=False)


def watch(study: optuna.Study, epochs: int, accuracies: Iterator[float]) -> Outcome:
    """Train a trial until it is pruned or completes. Each of `accuracies` is an epoch."""
    watched = Watched(study, epochs)
    for epoch, accuracy in enumerate(accuracies):
        outcome = watched.report(epoch, accuracy, time.perf_counter())
        if outcome is not None:
            return outcome
    raise RuntimeError(f"fewer than {epochs} epochs were trained")
