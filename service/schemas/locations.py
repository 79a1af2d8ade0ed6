"""Turn pydantic's error locations and messages into field names and one-line messages for users."""

from collections.abc import Mapping
from typing import Any

UNION_FIELDS = (
    "model",
    "schedule",
    "dropout",
    "sampler",
    "pruner",
    "wrapped_pruner",
    "min_resource",
    "max_resource",
)
"""Fields whose value is one of several kinds: pydantic puts the kind after them in a location."""

TRAINING_KINDS = ("built_in", "user_code")
"""They stand after `training` in a definition alone."""

PART_KINDS = ("built_in", "own")
"""They stand after the data set and the model; the kind of a built-in model stands after that."""

MAX_VALUE_CHARACTERS = 80
MAX_FIELD_CHARACTERS = 300


def field_of(location: tuple[int | str, ...]) -> str:
    """A dotted field name without the names of kinds: ("search_space", "lr", "float", "low") → search_space.lr.low."""
    parts: list[str] = []
    skip = False
    for index, part in enumerate(location):
        if part in PART_KINDS and index > 0 and location[index - 1] in ("dataset", "model"):
            skip = part == "built_in" and location[index - 1] == "model"
            continue
        if skip:
            skip = False
            continue
        if part == "[key]":  # pydantic's word for a dictionary's key, which stands before it
            continue
        if index == 1 and location[0] == "training" and part in TRAINING_KINDS:
            continue
        in_search_space = location[0] == "search_space"
        skip = index == 1 if in_search_space else part in UNION_FIELDS
        parts.append(str(part))
    return cut(".".join(parts), MAX_FIELD_CHARACTERS) or "body"


def message_of(item: Mapping[str, Any]) -> str:
    """The rule and the value, in one line."""
    if item["type"] == "extra_forbidden":
        return "unknown field"
    rule = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] in ("value_error", "missing"):
        return rule
    return f"{rule}: {short(item.get('input'))}"


def errors_of(item: Mapping[str, Any], location: tuple[int | str, ...]) -> list[tuple[str, str]]:
    """One of pydantic's errors as (field, message); the definition's own rules spelled out."""
    if item["type"] == "definition":
        return list(item["ctx"]["errors"])
    return [(field_of(location), message_of(item))]


def short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return cut(text, MAX_VALUE_CHARACTERS)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
