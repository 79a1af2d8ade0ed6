"""Which values of a user's configuration have no effect, because their parameters do not exist beside the others."""

from collections.abc import Iterator, Mapping

from service.schemas.fields import Scalar
from service.schemas.locations import short
from service.schemas.study.definition_fields import DefinitionFields
from service.schemas.study.search_space import same


def unused_errors(definition: DefinitionFields, params: Mapping[str, Scalar]) -> Iterator[tuple[str, str]]:
    """Every conditional parameter that does not exist for certain, with a message.

    Its parents must be given too: values that are sampled for them could leave it out.
    """
    space = definition.search_space
    for name in params:
        for parent, values in (space[name].when or {}).items() if name in space else ():
            allowed = " or ".join(short(value) for value in values)
            if parent not in params:
                yield name, f"{name} needs a value of {parent} beside it: {allowed}"
            elif not any(same(params[parent], value) for value in values):
                yield name, f"{name} exists only where {parent} is {allowed}: {parent} is {short(params[parent])}"
