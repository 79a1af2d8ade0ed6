"""Turn pydantic's errors into field names and one-line messages for users."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from service.schemas.fields import NAME_PATTERN
from service.schemas.study.entrypoints import ENTRYPOINT_PATTERN, MODULE_PATTERN

UNION_FIELDS = (
    "model",
    "schedule",
    "dropout",
    "sampler",
    "pruner",
    "wrapped_pruner",
    "min_resource",
    "max_resource",
    "distribution",
)
"""Fields whose value is one of several kinds. In a location, pydantic puts the kind after the field."""

TRAINING_KINDS = ("built_in", "user_code", "command")
"""Kinds that stand after `training` in the locations of a definition."""

PART_KINDS = ("built_in", "own")
"""Kinds that stand after data set, model and sampler. The name of a built-in model or sampler stands after that."""

MAX_VALUE_CHARACTERS = 80
MAX_FIELD_CHARACTERS = 300

RULES = {
    "missing": "is required",
    "extra_forbidden": "is an unknown field",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string",
    "string_unicode": "must be Unicode text",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}
"""Rules by pydantic's type of the error. For the other types pydantic's own message is plain enough."""

PATTERNS = {
    NAME_PATTERN: "must begin with a letter or digit and hold at most 128 letters, digits, '.', '_' and '-'",
    ENTRYPOINT_PATTERN: "must be package.module:function, in letters, digits and '_'",
    MODULE_PATTERN: "must be a module or package as Python imports it, in letters, digits, '_' and '.'",
}
"""Rules by the regular expression that a string does not match."""


def field_of(location: tuple[int | str, ...]) -> str:
    """A dotted field name without the names of kinds: ("search_space", "lr", "float", "low") → search_space.lr.low."""
    return cut(".".join(_parts(location)), MAX_FIELD_CHARACTERS) or "body"


def _parts(location: tuple[int | str, ...]) -> list[str]:
    parts: list[str] = []
    skip = False
    for index, part in enumerate(location):
        if part in PART_KINDS and index > 0 and location[index - 1] in ("dataset", "model", "sampler"):
            skip = part == "built_in" and location[index - 1] != "dataset"
            continue
        if skip:
            skip = False
            continue
        if part == "[key]":  # pydantic's word for a dictionary's key, which stands before it
            continue
        if index == 1 and location[0] == "training" and part in TRAINING_KINDS:
            continue
        in_search_space = location[0] in ("search_space", "distributions")
        skip = index == 1 if in_search_space else part in UNION_FIELDS
        parts.append(str(part))
    return parts


def _subject(location: tuple[int | str, ...]) -> str:
    """The last name of a field, with the indexes after it: ("training", "model", "mlp", "hidden", 1) → hidden.1."""
    if location[-1:] == ("[key]",):
        return "its name"
    parts = _parts(location)
    start = next((index for index in reversed(range(len(parts))) if not parts[index].isdecimal()), 0)
    return cut(".".join(parts[start:]), MAX_VALUE_CHARACTERS) or "body"


def message_of(item: Mapping[str, Any], subject: str) -> str:
    """One of pydantic's errors as a sentence about a field: its name, the rule that it breaks, and its value."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "union_tag_invalid":
        *others, last = context["expected_tags"].split(", ")
        return (
            f"{context['discriminator'].strip(chr(39))} must be {', '.join(others)} or {last}: {short(context['tag'])}"
        )
    if kind == "union_tag_not_found":
        return f"{subject} must have the field {context['discriminator'].strip(chr(39))}"
    if kind in ("missing", "extra_forbidden"):
        return f"{subject} {RULES[kind]}"
    if kind == "value_error":
        rule = str(item["msg"]).removeprefix("Value error, ")
        return f"{subject} {rule}" if rule.startswith("must ") else rule
    if kind in ("too_short", "too_long"):
        limit, n_items = re.split(" after validation, not ", str(item["msg"]))
        if isinstance(item.get("input"), str):  # pydantic calls the characters of a text "items" after a validator
            limit = re.sub("items?$", lambda found: f"character{'s' if found[0] == 'items' else ''}", limit)
        return f"{subject} {_rule(limit)}: it has {n_items}"
    rule = RULES.get(kind) or PATTERNS.get(context.get("pattern", "")) or _rule(str(item["msg"]))
    return f"{subject} {rule}: {short(item.get('input'))}"


def _rule(message: str) -> str:
    """What pydantic says that a value should be, as a rule: "Input should be less than 1" → must be less than 1."""
    return re.sub(r"^[A-Z][a-z]+ should ", "must ", message)


def errors_of(item: Mapping[str, Any], location: tuple[int | str, ...]) -> list[tuple[str, str]]:
    """One of pydantic's errors as (field, message) pairs; several if a definition breaks rules that span fields."""
    if item["type"] == "definition":
        return list(item["ctx"]["errors"])
    return [(field_of(location), message_of(item, _subject(location)))]


def first_error(error: ValidationError) -> str:
    """The first of pydantic's errors as one line: the field and the message."""
    item = error.errors(include_url=False)[0]
    field, message = errors_of(item, item["loc"])[0]
    return f"{field}: {message}"


def short(value: Any) -> str:
    """A value as a message shows it: cut off if it is long, and only its kind if it is a list or an object."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | int | float):
        return cut(repr(value), MAX_VALUE_CHARACTERS)
    return "a list" if isinstance(value, list | tuple) else "an object"


def cut(text: str, limit: int) -> str:
    """The text, or its first `limit` characters and an ellipsis."""
    return text if len(text) <= limit else f"{text[:limit]}…"
