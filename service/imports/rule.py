"""Which trials from elsewhere a study's sampler can learn from.

One does whose parameters are exactly those that the search space has beside their values (an entrypoint may have asked
for more), each of the same type and on the same scale, with a value that the search space contains. Ranges and choices
may be others. It is then seen with the search space's own distributions. A complete one must have a value of each of
the definition's constraints, as some samplers cannot do without. With several objectives it must be complete: Optuna
prunes no trial then, and TPE fails on what one has reported.
"""

from collections.abc import Mapping
from typing import Literal

from service.sampling.constraints import constraint_names
from service.schemas.imports import ImportedTrial
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import Choices, Distribution, is_active

Reason = Literal["state", "names", "distributions", "values", "constraints"]


def why_not(definition: Definition, trial: ImportedTrial, distributions: Mapping[str, Distribution]) -> Reason | None:
    """Why a trial is left out, or None; `distributions` are its own, as far as they are known."""
    space, params = definition.search_space, trial.params
    if trial.state != "COMPLETE" and (trial.state != "PRUNED" or len(definition.objectives) > 1):
        return "state"
    active = {name for name, parameter in space.items() if is_active(parameter, params)}
    others = params.keys() - active
    if active - params.keys() or (others and not definition.is_user_code) or others & space.keys():
        return "names"
    if any(name in distributions and not _is_alike(distributions[name], space[name]) for name in active):
        return "distributions"
    known = {**distributions, **space}
    if any(not known[name].contains(value) for name, value in params.items()):
        return "values"
    if trial.state == "COMPLETE" and not constraint_names(definition) <= trial.constraints.keys():
        return "constraints"
    return None


def _is_alike(theirs: Distribution, ours: Distribution) -> bool:
    if theirs.type != ours.type:
        return False
    return isinstance(theirs, Choices) or isinstance(ours, Choices) or theirs.log == ours.log
