"""The rules of a definition with an entrypoint or a command, as (field, message) pairs."""

from collections.abc import Iterator

from service.schemas.study.command_training import CommandTraining
from service.schemas.study.definition_fields import DefinitionFields
from service.schemas.study.placeholders import command_errors

TEST_PREFIX = "test_"


def user_code_errors(definition: DefinitionFields) -> Iterator[tuple[str, str]]:
    """The parts of a definition that cannot be combined with an entrypoint or a command."""
    training = definition.training
    kind = "an entrypoint"
    if isinstance(training, CommandTraining):
        kind = "a command"
        yield from _command_errors(definition, training)
    elif definition.sampler.exhaustive and not definition.search_space:
        sampler = definition.sampler.name
        yield "search_space", f"{sampler} must know every parameter: an entrypoint asks for them while it runs"
    if definition.confirmation is not None:
        yield "confirmation", f"confirmation needs the built-in training: {kind} has no test split that is known"
    metrics = [(f"objectives.{index}", objective.metric) for index, objective in enumerate(definition.objectives)]
    metrics += [(f"constraints.{index}", constraint.metric) for index, constraint in enumerate(definition.constraints)]
    for field, metric in metrics:
        if metric.startswith(TEST_PREFIX):
            message = f"metric must not begin with {TEST_PREFIX}: a search must not use the test split"
            yield f"{field}.metric", f"{message}: {metric!r}"


def _command_errors(definition: DefinitionFields, training: CommandTraining) -> Iterator[tuple[str, str]]:
    if not definition.search_space:
        yield "search_space", "search_space must have at least 1 item: a command cannot ask for parameters"
    for name in training.arguments:
        if name in definition.search_space:
            yield f"search_space.{name}", f"{name} must not be both in training.arguments and searched"
    names = [*training.arguments, *(name for name in definition.search_space if name not in training.arguments)]
    for index, message in command_errors(training.command, names):
        yield "training.command" if index is None else f"training.command.{index}", message
