"""Trials that are paused at a rung, as our attribute marks them, and as samplers see them."""

import copy

from optuna.trial import FrozenTrial, TrialState

PAUSED = "narrows:paused_at_rung"
"""Our attribute of a paused trial: its rung, from 0; null once it goes on."""


def paused_at(trial: FrozenTrial) -> int | None:
    """The rung that a trial is paused at, or None."""
    rung: int | None = trial.system_attrs.get(PAUSED) if trial.state == TrialState.WAITING else None
    return rung


def as_sampled(trial: FrozenTrial) -> FrozenTrial:
    """A trial as samplers are to see it: a paused one as pruned."""
    if paused_at(trial) is None:
        return trial
    seen = copy.copy(trial)
    seen.state = TrialState.PRUNED
    return seen
