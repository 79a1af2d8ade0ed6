"""The pruner of a definition that names none. docs/searches.md has the measurements behind it."""

from typing import Any

from service.schemas.study.definition_fields import DefinitionFields
from service.schemas.study.halving_pruners import SuccessiveHalving
from service.schemas.study.pruners import AnyPruner, NoPruner
from service.schemas.study.training import FINAL_METRICS, Training

KILLING: dict[str, Any] = {
    "name": "successive_halving",
    "min_resource": 1,
    "reduction_factor": 2,
    "n_startup_trials": 2,
}
"""Options of the default for trainings that cannot pause, and of every default in versions that did not store it."""

FEWEST_EPOCHS = 3
"""Shorter trainings are never pruned: there is nothing to save."""
FEW_EPOCHS = 5
"""Shorter trainings have so few rungs that only every second trial may pass each."""
EPOCHS_BEFORE_FIRST_RUNG = 0.01
"""Share of a training's epochs before its first rung. One percent of it says too little about its end."""


def default_pruner(definition: DefinitionFields) -> AnyPruner:
    """The default of a definition: it pauses trials and promotes the best where the training can go on later."""
    training = definition.training if isinstance(definition.training, Training) else None
    is_final = training is not None and definition.objectives[0].metric in FINAL_METRICS
    if is_final or len(definition.objectives) > 1:
        return NoPruner(name="none")
    if training is None or training.epochs < FEWEST_EPOCHS or definition.narrowing is not None:
        return SuccessiveHalving(**KILLING)
    is_short = training.epochs < FEW_EPOCHS
    return SuccessiveHalving(
        name="successive_halving",
        min_resource=max(1, round(EPOCHS_BEFORE_FIRST_RUNG * training.epochs)),
        reduction_factor=2 if is_short else 1.5,
        rung_factor=2 if is_short else 1.6,
        promote=True,
    )
