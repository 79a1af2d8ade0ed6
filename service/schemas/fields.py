"""The base model of every JSON body, and the field types that several of them share."""

import math
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
NAME_RULE = "letters, digits, '.', '_' and '-', a letter or digit first, at most 128 characters"
MAX_DOUBLE = int(sys.float_info.max)
"""Largest whole number that is a double. Optuna computes with doubles."""
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _check_scalar(value: Any) -> Any:
    """Raises one error instead of one for each member of the union."""
    if (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) > MAX_DOUBLE):
        raise PydanticCustomError("finite_number", "must be a finite number")
    if not isinstance(value, str | int | float | bool | None):
        raise PydanticCustomError("scalar_type", "must be a string, a number, true, false or null")
    return value


Scalar = Annotated[str | int | float | bool | None, BeforeValidator(_check_scalar)]


Rate = Annotated[float, Field(ge=0, lt=1)]
Rates = Annotated[
    Annotated[Rate, Tag("rate")] | Annotated[list[Rate], Tag("rates")],
    Discriminator(lambda value: "rates" if isinstance(value, list) else "rate"),
]
"""One dropout rate for all layers, or a list with one rate for each layer."""


class Body(BaseModel):
    """A JSON object from a client. An unknown field is an error that names the field."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=False)


class Answer(BaseModel):
    """A JSON object from the service. Unknown fields are ignored, because a newer service may send more."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class WorkerBody(Body):
    """A JSON object from a worker. Unknown fields are ignored, because a newer worker may send more.

    A new field must therefore be one that an older service may ignore.
    """

    model_config = ConfigDict(extra="ignore")


class StrictBody(Body):
    """A body that people write. JSON types are not converted: "1" is not 1, and true is not 1.0."""

    model_config = ConfigDict(strict=True)


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the character NUL")
    return value


Identifier = Annotated[str, AfterValidator(_without_nul)]
"""A string that every database can store as text. PostgreSQL refuses the character NUL."""


def _from_wire(value: Any) -> Any:
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def _to_wire(value: float) -> float | str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def finite(value: Any) -> Any:
    """The same JSON value. Raises ValueError if it holds nan or an infinity at any depth."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        finite(item)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must hold finite numbers: {value}")
    return value


def not_nan(value: float) -> float:
    """The same number. Raises ValueError for nan."""
    if math.isnan(value):
        raise ValueError("must be a number: nan")
    return value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Number = Annotated[
    float,
    Field(allow_inf_nan=True, strict=True),
    BeforeValidator(_from_wire),
    PlainSerializer(_to_wire, return_type=float | str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": list(NON_FINITE)}]}),
]
"""A float that may be nan or infinite; JSON carries those as "nan", "inf" and "-inf"."""

MetricName = Annotated[str, Field(min_length=1, max_length=128)]

Timestamp = Annotated[datetime, AfterValidator(_utc)]
"""An aware UTC time, RFC 3339 on the wire."""

StudyName = Annotated[
    str,
    Field(
        pattern=NAME_PATTERN,
        description=f"Name of the study: {NAME_RULE}.",
        examples=["mnist-mlp"],
    ),
]
