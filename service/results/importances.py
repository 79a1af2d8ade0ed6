"""The importance of each parameter for the first objective, and notes on the parameters that have none."""

import math
import warnings
from collections.abc import Sequence
from decimal import Decimal

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from service.results.ranking import complete_trials
from service.schemas.results import Importances
from service.study.live_study import LiveStudy

NumericDistribution = FloatDistribution | IntDistribution

MAX_FANOVA_TRIALS = 1000
"""fANOVA takes seconds for this number. Of a larger study it gets as many at most, evenly spread over the study."""


def importances(live: LiveStudy) -> Importances:
    """Parameter importances for the first objective; empty with fewer than two finite values.

    Optuna's default evaluator (PED-ANOVA) says nothing of a parameter whose range depends on another one: to such a
    parameter it gives 0. Where ranges differ between trials, fANOVA therefore evaluates all parameters over their
    widest ranges.
    """
    objective = live.definition.objectives[0]
    sign = -1 if objective.direction == "maximize" else 1  # the evaluator looks for low values
    trials = [trial for trial in complete_trials(live) if math.isfinite(trial.values[0])]
    if len({trial.values[0] for trial in trials}) < 2:
        return Importances(metric=objective.metric, importances={})
    from optuna.importance import FanovaImportanceEvaluator  # it needs scikit-learn, which a start does without

    widest, notes = _widest(trials)
    study: optuna.Study = live.study
    evaluator = None
    if any(trial.distributions[name] != kind for trial in trials for name, kind in widest.items()):
        study, evaluator = _over_widest(trials, widest), FanovaImportanceEvaluator(seed=0)
        notes.append("ranges differ between trials: the shares are of fANOVA over the widest ranges")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns that low values are taken for better
        shares = optuna.importance.get_param_importances(
            study, evaluator=evaluator, params=list(widest), target=lambda trial: sign * trial.values[0]
        )
    found = {name: float(share) for name, share in shares.items()}
    return Importances(metric=objective.metric, importances=found, note="; ".join(notes) or None)


def _widest(trials: Sequence[FrozenTrial]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """The distribution of each parameter over all trials, and notes on the parameters that have none.

    A parameter has none if a trial lacks it, or if its type, scale, steps or choices differ between trials.
    """
    found: dict[str, BaseDistribution | None] = {}
    n_seen: dict[str, int] = {}
    for trial in trials:
        for name, kind in trial.distributions.items():
            known = found.get(name, kind)
            found[name] = kind if known is kind else _union(known, kind)
            n_seen[name] = n_seen.get(name, 0) + 1
    partial = [name for name in found if n_seen[name] < len(trials)]
    unlike = [name for name, kind in found.items() if kind is None and name not in partial]
    widest = {name: kind for name, kind in found.items() if kind is not None and name not in partial}
    notes = []
    if partial:
        notes.append(f"no share of {', '.join(partial)}: not every complete trial has it")
    if unlike:
        notes.append(f"no share of {', '.join(unlike)}: its type, scale, steps or choices differ between trials")
    return widest, notes


def _union(one: BaseDistribution | None, other: BaseDistribution) -> BaseDistribution | None:
    """The distribution over both ranges; None if there is none."""
    if one == other or one is None:
        return one
    for kind in (FloatDistribution, IntDistribution):
        if isinstance(one, kind) and isinstance(other, kind) and _have_same_steps(one, other):
            low, high = min(one.low, other.low), max(one.high, other.high)
            return kind(low, high, log=one.log, step=one.step)  # type: ignore[arg-type] # of the same kind
    return None


def _have_same_steps(one: NumericDistribution, other: NumericDistribution) -> bool:
    """Whether the values of two ranges are on one scale and, with a step, a whole number of steps apart."""
    if (one.log, one.step) != (other.log, other.step):
        return False
    return one.step is None or (_exact(other.low) - _exact(one.low)) % _exact(one.step) == 0


def _exact(number: float) -> Decimal:
    return Decimal(str(number))


def _over_widest(trials: Sequence[FrozenTrial], widest: dict[str, BaseDistribution]) -> optuna.Study:
    """A study in memory with the values of these parameters, as if all had been sampled from their widest ranges."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    step = -(-len(trials) // MAX_FANOVA_TRIALS)
    study.add_trials(
        [
            create_trial(
                value=trial.values[0],
                params={name: trial.params[name] for name in widest},
                distributions=widest,
            )
            for trial in trials[::step]
        ]
    )
    return study
