"""Entrypoints of custom code, and the prefixes of the entrypoints that a worker runs."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from service.schemas.fields import finite

MAX_ARGUMENTS = 100

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
MODULE_PATTERN = rf"^{NAME}(\.{NAME})*$"
ENTRYPOINT_PATTERN = rf"^{NAME}(\.{NAME})*:{NAME}$"

Entrypoint = Annotated[
    str,
    Field(
        pattern=ENTRYPOINT_PATTERN,
        max_length=255,
        description="The function that trains, as package.module:function, in letters, digits and '_'.",
        examples=["mypkg.train:objective"],
    ),
]
Prefix = Annotated[
    str,
    Field(
        pattern=MODULE_PATTERN,
        max_length=255,
        description="A module or package. A worker runs the entrypoints in it and below it.",
        examples=["mypkg"],
    ),
]


Arguments = Annotated[dict[Annotated[str, Field(max_length=128)], JsonValue], AfterValidator(finite)]
"""Arguments that a definition gives to the function of an entrypoint, by name."""


def is_allowed(entrypoint: str, prefixes: Iterable[str]) -> bool:
    """Whether a prefix names the entrypoint's module or one above it: mypkg allows mypkg.train, and not mypkg2."""
    module = entrypoint.partition(":")[0]
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)
