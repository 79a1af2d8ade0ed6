"""Build Optuna's pruners from a definition."""

import warnings

import optuna
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from service.pruning.halving import IndexedHalving, IndexedHyperband
from service.schemas.study.halving_pruners import SuccessiveHalving
from service.schemas.study.pruners import AnyPruner, Patient

CLASSES: dict[str, type[BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "successive_halving": IndexedHalving,
    "hyperband": IndexedHyperband,
    "patient": optuna.pruners.PatientPruner,
    "threshold": optuna.pruners.ThresholdPruner,
    "wilcoxon": optuna.pruners.WilcoxonPruner,
}

OF_PROMOTION = ("promote", "rung_factor", "n_finalists")
"""Options of trials that pause, which service/pruning/promotion.py reads. Optuna's pruners decide nothing then."""


def build_pruner(pruner: AnyPruner) -> BasePruner:
    """The Optuna pruner that a definition describes."""
    options = pruner.model_dump(exclude={"name", *OF_PROMOTION})
    n_startup_trials = options.pop("n_startup_trials") if isinstance(pruner, SuccessiveHalving) else 0
    if isinstance(pruner, Patient):
        options["wrapped_pruner"] = build_pruner(pruner.wrapped_pruner) if pruner.wrapped_pruner else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        built = CLASSES[pruner.name](**options)
    return AfterStartup(built, n_startup_trials) if n_startup_trials else built


class AfterStartup(BasePruner):
    """A pruner that never prunes the first `n_startup_trials` trials; later trials are compared with them."""

    def __init__(self, wrapped: BasePruner, n_startup_trials: int) -> None:
        self.wrapped = wrapped
        self.n_startup_trials = n_startup_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the wrapped pruner prunes the trial, and it is not one of the first."""
        says_prune = self.wrapped.prune(
            study, trial
        )  # also called for the first trials: it saves the rungs that they reach
        return says_prune and trial.number >= self.n_startup_trials
