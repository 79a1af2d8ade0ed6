"""What is wrong with the body of a request, as (field, message) pairs."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from service.errors import InvalidError
from service.schemas.locations import errors_of
from service.web.json_steps import load_in_steps

MAX_ERRORS = 100
"""How many errors an answer has at most."""
UNREADABLE = "malformed JSON: it cannot be read"


def parse_body(model: type[BaseModel], body: bytes) -> BaseModel:
    """A JSON body as an instance of its model. Raises InvalidError for what is no JSON, and ValidationError."""
    try:
        given = load_in_steps(body)
    except json.JSONDecodeError as error:
        raise InvalidError([("body", malformed(error.msg))]) from error
    except ValueError as error:  # it is not UTF-8 or has an unreadable number
        raise InvalidError([("body", UNREADABLE)]) from error
    return model.model_validate(given)


def malformed(problem: str) -> str:
    """The message about a body that is no JSON."""
    return f"malformed JSON: {problem}"


def errors_of_body(error: ValidationError) -> list[tuple[str, str]]:
    """Pydantic's errors about a body as (field, message). Describing many of them is one long step."""
    items = [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_url=False)]  # as FastAPI's
    return validation_errors(items)[:MAX_ERRORS]


def validation_errors(items: Sequence[Any]) -> list[tuple[str, str]]:
    """Pydantic's errors of a request as (field, message), the first one of each field; at least MAX_ERRORS, or all."""
    messages: dict[str, str] = {}
    for item in items:
        if len(messages) >= MAX_ERRORS:
            break
        location = tuple(item["loc"])
        if item["type"] == "json_invalid":
            messages.setdefault("body", malformed(item.get("ctx", {}).get("error", item["msg"])))
            continue
        if isinstance(item.get("input"), bytes):  # FastAPI passes the raw body if its content type is not JSON
            messages.setdefault("body", "body must be sent as application/json or application/yaml")
            continue
        if location and location[0] in ("body", "query", "path", "header"):
            location = location[1:]
        for field, message in errors_of(item, location):
            messages.setdefault(field, message)
    return list(messages.items())
