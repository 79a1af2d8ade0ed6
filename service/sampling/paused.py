"""Paused trials: the attribute that marks them, and how samplers see them."""

import copy

from optuna.trial import FrozenTrial, TrialState

PAUSED = "narrows:paused_at_rung"
"""Our system attribute of a paused trial: its rung, from 0. It is null after the trial goes on."""


def paused_at(trial: FrozenTrial) -> int | None:
    """The rung at which a trial is paused; None if it is not paused."""
    rung: int | None = trial.system_attrs.get(PAUSED) if trial.state == TrialState.WAITING else None
    return rung


def as_sampled(trial: FrozenTrial) -> FrozenTrial:
    """A trial as samplers see it: a paused trial is PRUNED."""
    if paused_at(trial) is None:
        return trial
    seen = copy.copy(trial)
    seen.state = TrialState.PRUNED
    return seen
