"""The rules of a definition that span several fields. Each rule yields (field, message) pairs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from service.schemas.fields import Scalar
from service.schemas.locations import field_of, message_of, short
from service.schemas.study.counting import n_configurations
from service.schemas.study.custom_part_checks import custom_part_errors
from service.schemas.study.definition_fields import DefinitionFields
from service.schemas.study.models import n_dropout_layers
from service.schemas.study.narrowing_checks import narrowing_errors
from service.schemas.study.resolve import MISSING, find, fixed_fields, is_index, resolve
from service.schemas.study.search_space import (
    CategoricalParameter,
    IntParameter,
    Parameter,
    is_active,
)
from service.schemas.study.training import EPOCH_METRICS, FINAL_METRICS, Training, why_fixed
from service.schemas.study.user_code_checks import user_code_errors

FieldError = tuple[str, str]

MAX_GRID = 10_000
"""Limit on the configurations of an exhaustive sampler: to count more in a conditional space would take seconds."""
ARGUMENTS = "model.arguments."
"""Beginning of the names of parameters that may have any value, because a custom model takes them."""
SHORTHANDS = ("schedule",)
"""Fields that may be searched together with their own parts: the name of a schedule and its options."""


def definition_errors(definition: DefinitionFields) -> list[FieldError]:
    """Every broken rule, as (field, message); empty when the definition breaks none."""
    keys = user_code_errors(definition) if definition.is_user_code else _key_errors(definition)
    structure = [*keys, *_condition_errors(definition.search_space)]
    if structure:
        return structure
    return [
        *(() if definition.is_user_code else _training_errors(definition)),
        *custom_part_errors(definition),
        *_objective_errors(definition),
        *_constraint_errors(definition),
        *_sampler_errors(definition),
        *_enqueue_errors(definition),
        *narrowing_errors(definition),
        *_warm_start_errors(definition),
    ]


def _key_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    fixed = fixed_fields(definition.training)
    keys = list(definition.search_space)
    if not keys:
        yield (
            "search_space",
            "search_space must have at least 1 item: only an entrypoint can ask for parameters while it runs",
        )
    for key in keys:
        field = f"search_space.{key}"
        reason = why_fixed(key)
        if reason is not None:
            yield field, f"{key} cannot be searched: {reason}"
            continue
        holder = _fixed_holder(fixed, key)
        if holder is not None:
            yield field, f"{key} must not be both fixed in training and searched: training.{holder} is set"
        for other in keys:
            if key.startswith(f"{other}.") and other not in SHORTHANDS:
                yield field, f"{key} must not be searched together with {other}"


def _fixed_holder(fixed: Mapping[str, Any], key: str) -> str | None:
    """The fixed field that conflicts with a searched key: the key itself, a part of it, or what it is a part of.

    None if nothing fixed conflicts with the key.
    """
    parts = key.split(".")
    for length in range(1, len(parts) + 1):
        prefix = ".".join(parts[:length])
        value = find(fixed, parts[:length])
        if value is MISSING:
            return None
        if length == len(parts):
            return prefix
        if isinstance(value, list) and is_index(parts[length]) and int(parts[length]) >= len(value):
            return prefix
        if not isinstance(value, dict | list):
            return prefix
    return None


def _condition_errors(space: Mapping[str, Parameter]) -> Iterator[FieldError]:
    names = list(space)
    for index, (name, parameter) in enumerate(space.items()):
        for parent, values in (parameter.when or {}).items():
            field = f"search_space.{name}.when.{parent}"
            if parent not in space:
                yield field, f"when must name a parameter of the search space: there is no {parent!r}"
            elif parent not in names[:index]:
                yield field, f"when must name an earlier parameter: {parent!r} does not stand before {name!r}"
            elif not isinstance(space[parent], CategoricalParameter | IntParameter):
                yield field, f"when must name a categorical or int parameter: {parent!r} is a float"
            else:
                for value in values:
                    if not space[parent].contains(value):
                        yield field, f"when must list values that {parent!r} can have: it cannot be {short(value)}"


def _training_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    """Try bounds and choices in the training fields, so that no sampled value can be refused there."""
    fixed = fixed_fields(definition.training)
    space = definition.search_space
    keys = {f"search_space.{name}" for name in space}
    by_itself: dict[str, str] = {}
    by_another: dict[str, str] = {}
    for name in space:
        values = space[name].edges()
        for value in values[:1] if name.startswith(ARGUMENTS) else values:
            for field, message in _resolved_errors(fixed, _example_params(space, name, value), name, value):
                is_of_another = field in keys and field != f"search_space.{name}"
                (by_another if is_of_another else by_itself).setdefault(field, message)
            if f"search_space.{name}" in by_itself:
                break  # there may be hundreds of choices, each as wrong
    # A parameter may also break a rule while another one is tried. Its own message says it more plainly.
    yield from {**by_another, **by_itself}.items()


def _example_params(space: Mapping[str, Parameter], name: str, value: Scalar) -> dict[str, Scalar]:
    """A configuration in which one parameter has a given value and its parents have values for which it exists."""
    given: dict[str, Scalar] = {name: value}
    for child in reversed(list(space)):
        if child in given:
            for parent, values in (space[child].when or {}).items():
                given.setdefault(parent, values[0])
    params: dict[str, Scalar] = {}
    for key, parameter in space.items():
        if key in given or is_active(parameter, params):
            params[key] = given.get(key, parameter.edges()[0])
    return params


def _resolved_errors(
    fixed: Mapping[str, Any],
    params: Mapping[str, Scalar],
    name: str,
    value: Scalar,
) -> Iterable[FieldError]:
    try:
        training = Training.model_validate(resolve(fixed, params))
    except ValidationError as error:
        return [
            _search_error(field_of(("training", *item["loc"])).removeprefix("training."), item, name, value)
            for item in error.errors(include_url=False)
        ]
    rates = training.dropout
    if isinstance(rates, list) and len(rates) != n_dropout_layers(training.model):
        layers = n_dropout_layers(training.model)
        return [
            (
                "training.dropout",
                f"dropout must have one rate for each hidden layer: {rates} for {layers} layers",
            )
        ]
    return []


def _search_error(field: str, item: Any, name: str, value: Scalar) -> FieldError:
    if item["type"] == "extra_forbidden" and (name == field or name.startswith(f"{field}.")):
        return f"search_space.{name}", f"{name} is not a training field"
    message = message_of(item, field)
    if name == field:
        return f"search_space.{name}", message
    if name.startswith(f"{field}."):
        return f"search_space.{name}", f"{name} cannot be searched: {message}"
    if field.startswith(f"{name}."):
        return f"search_space.{name}", f"{name} cannot be {short(value)}: {message}"
    return f"search_space.{field}", f"{message} (where {name} is {short(value)})"


def _objective_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    metrics = [objective.metric for objective in definition.objectives]
    yield from _metric_errors(definition, "objectives", metrics)
    if definition.pruner.prunes and metrics[0] in FINAL_METRICS and not definition.is_user_code:
        yield "pruner", f"pruner must be none when the first objective is not reported every epoch: {metrics[0]!r}"


def _constraint_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    yield from _metric_errors(definition, "constraints", [constraint.metric for constraint in definition.constraints])


def _metric_errors(definition: DefinitionFields, where: str, metrics: Sequence[str]) -> Iterator[FieldError]:
    known = (*EPOCH_METRICS, *FINAL_METRICS)
    for index, metric in enumerate(metrics):
        field = f"{where}.{index}.metric"
        if metric not in known and not definition.is_user_code:
            yield field, f"metric must be one that training reports: {metric!r} is none of {', '.join(known)}"
        if metric in metrics[:index]:
            yield field, f"metric must not be listed twice: {metric!r}"


def _sampler_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    space, sampler = definition.search_space, definition.sampler
    if len(definition.objectives) > 1 and definition.target_value is not None:
        yield "target_value", f"target_value must be null with several objectives: {definition.target_value}"
    if len(definition.objectives) > 1 and definition.patience is not None:
        yield "patience", f"patience must be null with several objectives: {definition.patience.trials} trials"
    if len(definition.objectives) > 1 and not sampler.several_objectives:
        yield "sampler", f"{sampler.name} takes one objective: use tpe, gp or nsgaii for several"
    if not sampler.exhaustive:
        return
    for name, parameter in space.items():
        if parameter.size() is None:
            yield (
                f"search_space.{name}",
                f"{sampler.name} needs a discrete search space: give {name} a step, or make it int or categorical",
            )
        if sampler.whole_configurations and parameter.when is not None:
            yield f"search_space.{name}.when", f"{sampler.name} takes no conditional parameters: use brute_force"
    size = n_configurations(space, MAX_GRID + 1)
    if size is not None and size > MAX_GRID:
        yield "search_space", f"{sampler.name} takes {MAX_GRID:,} configurations at most: the space has more"


def _enqueue_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    if len(definition.enqueue) > definition.n_trials:
        yield (
            "enqueue",
            f"enqueue must not hold more than n_trials: {len(definition.enqueue)} > {definition.n_trials}",
        )
    for index, params in enumerate(definition.enqueue):
        for name, message in params_errors(definition, params):
            yield f"enqueue.{index}.{name}", message


def _warm_start_errors(definition: DefinitionFields) -> Iterator[FieldError]:
    for index, name in enumerate(definition.warm_start_from):
        if name in definition.warm_start_from[:index]:
            yield f"warm_start_from.{index}", f"a study must not be listed twice: {name!r}"
        elif name == definition.name:
            yield f"warm_start_from.{index}", f"a study cannot start from its own trials: {name!r}"


def params_errors(definition: DefinitionFields, params: Mapping[str, Scalar]) -> Iterator[FieldError]:
    """Every parameter of a user's configuration that is unknown or outside the search space, with a message."""
    space = definition.search_space
    for name, value in params.items():
        if name not in space:
            if definition.asks_for_params:  # the code may ask for the parameter while it runs
                continue
            yield name, f"{name!r} is not a parameter of the search space"
        elif not space[name].contains(value):
            yield name, f"{name} must be a value of the search space: {short(value)}"
