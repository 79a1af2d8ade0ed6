"""The rules of a definition with an entrypoint, as (field, message) pairs."""

from collections.abc import Iterator

from service.schemas.study.definition_fields import DefinitionFields

TEST_PREFIX = "test_"


def user_code_errors(definition: DefinitionFields) -> Iterator[tuple[str, str]]:
    """The parts of a definition that cannot be combined with an entrypoint."""
    if definition.sampler.exhaustive and not definition.search_space:
        sampler = definition.sampler.name
        yield "search_space", f"{sampler} must know every parameter: an entrypoint asks for them while it runs"
    if definition.confirmation is not None:
        yield "confirmation", "confirmation needs the built-in training: an entrypoint has no test split that is known"
    metrics = [(f"objectives.{index}", objective.metric) for index, objective in enumerate(definition.objectives)]
    metrics += [(f"constraints.{index}", constraint.metric) for index, constraint in enumerate(definition.constraints)]
    for field, metric in metrics:
        if metric.startswith(TEST_PREFIX):
            message = f"metric must not begin with {TEST_PREFIX}: a search must not use the test split"
            yield f"{field}.metric", f"{message}: {metric!r}"
