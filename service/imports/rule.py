"""Which trials from elsewhere a study's sampler can learn from.

* The values of a complete trial and all constraints are numbers. The last value of a pruned trial may be nan, which
  samplers take for the worst.
* The trial has exactly the parameters that are active in the search space with its values; the code of an entrypoint
  may have asked for more.
* Each parameter has the same type and scale as in the search space, and a value that the search space contains. Its own
  range or choices may differ: the sampler sees it with the search space's distribution.
* A complete trial has a value for each of the definition's constraints, because some samplers need all of them.
* With several objectives the trial is complete: Optuna prunes no trial then, and TPE fails on intermediate values.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Literal

from service.sampling.constraints import constraint_names
from service.schemas.imports import ImportedTrial
from service.schemas.locations import short
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.schemas.study.search_space import Choices, Distribution, is_active

Reason = Literal["state", "results", "names", "distributions", "values", "constraints"]


def with_defaults(definition: Definition, trial: ImportedTrial, defaults: Params) -> ImportedTrial:
    """The trial with the defaults of parameters that exist in the search space with its values and that it lacks."""
    if not defaults:
        return trial
    params = dict(trial.params)
    for name, parameter in definition.search_space.items():
        if name in defaults and name not in params and is_active(parameter, params):
            params[name] = defaults[name]
    return trial.model_copy(update={"params": params})


def default_errors(definition: Definition, defaults: Params, field: str) -> Iterator[tuple[str, str]]:
    """Every default that is no value of the search space, with a message."""
    for name, value in defaults.items():
        if name not in definition.search_space:
            yield f"{field}.{name}", f"{name!r} is not a parameter of the search space"
        elif not definition.search_space[name].contains(value):
            yield f"{field}.{name}", f"{name} must be a value of the search space: {short(value)}"


def why_left_out(
    definition: Definition, trial: ImportedTrial, distributions: Mapping[str, Distribution]
) -> Reason | None:
    """Why a trial does not fit a study, or None. `distributions` are those known of the trial's parameters."""
    space, params = definition.search_space, trial.params
    if trial.state != "COMPLETE" and (trial.state != "PRUNED" or len(definition.objectives) > 1):
        return "state"
    if any(math.isnan(value) for value in (*(trial.values or ()), *trial.constraints.values())):
        return "results"
    active = {name for name, parameter in space.items() if is_active(parameter, params)}
    others = params.keys() - active
    if active - params.keys() or (others and not definition.asks_for_params) or others & space.keys():
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
