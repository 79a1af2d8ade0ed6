"""Numbers of a file, and the steps of a quantized range."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from narrows.conversion.draft import shown

CATEGORIES = (
    "a choice must be a string, a number, true, false or null: give each value a name and look it up in your code"
)


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return (is_int(value) or isinstance(value, float)) and math.isfinite(value)


def nearest(value: float, step: float) -> float:
    """The multiple of a step next to a value, as numpy.round has it: a half goes to the even one."""
    return _multiple(value, step, ROUND_HALF_EVEN)


def above(value: float, step: float) -> float:
    return _multiple(value, step, ROUND_CEILING)


def below(value: float, step: float) -> float:
    return _multiple(value, step, ROUND_FLOOR)


def _multiple(value: float, step: float, rounding: str) -> float:
    """In decimal, so that three steps of 0.1 are 0.3; an int for an int step."""
    unit = Decimal(str(step))
    found = (Decimal(str(value)) / unit).to_integral_value(rounding) * unit
    return int(found) if is_int(step) else float(found)


def stepped(low: float, high: float, step: float) -> dict[str, Any]:
    """A range on a grid: of whole numbers where the step is one."""
    if is_int(step):
        return {"type": "int", "low": low, "high": high, **({} if step == 1 else {"step": step})}
    return {"type": "float", "low": low, "high": high, "step": step}


def no_choice(values: Any) -> str | None:
    """Why these are no choices, or None when they are."""
    if not isinstance(values, list | tuple) or not values:
        return f"must be a list of at least one value: {shown(values)}"
    for value in values:
        if value is not None and not isinstance(value, str | bool | int | float):
            return f"{CATEGORIES}: {shown(value)}"
    return None
