"""Definitions that are wrong in one place, and how they are sent."""

import json
from typing import Any

from tests.integration.service_driver import Json, Service

SPACE = "search_space.learning_rate"
CHOICES = {"type": "categorical", "choices": ["sgd", "adam"]}


Cases = dict[str, tuple[Json, str, str]]
"""What is wrong with a definition, the field that must be named, and a part of what is said of it."""


def parameter(**changes: Any) -> Json:
    return {"search_space": {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, **changes}}}


def searched(key: str, **described: Any) -> Json:
    return {"search_space": {key: described}}


def between(key: str, low: float, high: float, **more: Any) -> Json:
    kind = "int" if isinstance(low, int) and isinstance(high, int) else "float"
    return searched(key, type=kind, low=low, high=high, **more)


def among(key: str, *choices: Any) -> Json:
    return searched(key, type="categorical", choices=list(choices))


def training(**changes: Any) -> Json:
    return {"training": {"dataset": "digits", "model": "mlp", **changes}}


def conditional(when: Any, *, first: Json | None = None, last: Json | None = None) -> Json:
    """A search space in which momentum depends on something, between an optional first and last parameter."""
    momentum = {"type": "float", "low": 0.0, "high": 0.9, "when": when}
    return {"search_space": {**(first or {}), "momentum": momentum, **(last or {})}}


def post(service: Service, body: Any, *, raw: str | None = None) -> Any:
    """POST JSON as Python writes it: NaN and Infinity as literals, half characters escaped."""
    content = json.dumps(body) if raw is None else raw
    return service.http.post("/v1/studies", content=content, headers={"content-type": "application/json"})
