"""The rules of a definition with an entrypoint, as (field, message) pairs."""

from collections.abc import Iterator

from service.schemas.study.definition_fields import DefinitionFields

TEST_PREFIX = "test_"


def user_code_errors(definition: DefinitionFields) -> Iterator[tuple[str, str]]:
    """What an entrypoint does not go together with."""
    if definition.sampler.exhaustive and not definition.search_space:
        sampler = definition.sampler.name
        yield "search_space", f"{sampler} must know every parameter: an entrypoint asks for them as it runs"
    if definition.confirmation is not None:
        yield "confirmation", "confirmation needs the built-in training: an entrypoint has no test split that is known"
    named = [(f"objectives.{index}", one.metric) for index, one in enumerate(definition.objectives)]
    named += [(f"constraints.{index}", one.metric) for index, one in enumerate(definition.constraints)]
    for field, metric in named:
        if metric.startswith(TEST_PREFIX):
            message = f"metric must not begin with {TEST_PREFIX}: the search does not look at test data"
            yield f"{field}.metric", f"{message}: {metric!r}"
