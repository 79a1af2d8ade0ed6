"""Build Optuna's pruners from a definition."""

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from service.schemas.pruners import AnyPruner, Patient

CLASSES: dict[str, type[BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "patient": optuna.pruners.PatientPruner,
    "threshold": optuna.pruners.ThresholdPruner,
    "wilcoxon": optuna.pruners.WilcoxonPruner,
}


def build_pruner(pruner: AnyPruner) -> BasePruner:
    """The pruner of a study."""
    options = pruner.model_dump(exclude={"name", "promote"})
    if isinstance(pruner, Patient):
        options["wrapped_pruner"] = build_pruner(pruner.wrapped_pruner) if pruner.wrapped_pruner else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return CLASSES[pruner.name](**options)
