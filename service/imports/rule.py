"""Which trials from elsewhere a study's sampler can learn from.

* The trial has exactly the parameters that are active in the search space with its values; the code of an entrypoint
  may have asked for more.
* Each parameter has the same type and scale as in the search space, and a value that the search space contains. Its own
  range or choices may differ: the sampler sees it with the search space's distribution.
* A complete trial has a value for each of the definition's constraints, because some samplers need all of them.
* With several objectives the trial is complete: Optuna prunes no trial then, and TPE fails on intermediate values.
"""

from collections.abc import Mapping
from typing import Literal

from service.sampling.constraints import constraint_names
from service.schemas.imports import ImportedTrial
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import Choices, Distribution, is_active

Reason = Literal["state", "names", "distributions", "values", "constraints"]


def why_left_out(
    definition: Definition, trial: ImportedTrial, distributions: Mapping[str, Distribution]
) -> Reason | None:
    """Why a trial does not fit a study, or None. `distributions` are those known of the trial's parameters."""
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
