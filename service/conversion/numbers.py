"""Numbers, choices, and the steps of a quantized range."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from service.conversion.draft import shown

CATEGORIES = (
    "a choice must be a string, a number, true, false or null: give each value a name and look it up in your code"
)


def is_int(value: Any) -> bool:
    """Whether a value is an int and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite int or float."""
    return (is_int(value) or isinstance(value, float)) and math.isfinite(value)


def nearest(value: float, step: float) -> float:
    """Return the multiple of a step nearest to a value; from halfway the even one, as numpy.round does."""
    return _multiple(value, step, ROUND_HALF_EVEN)


def above(value: float, step: float) -> float:
    """Return the lowest multiple of a step that is at least a value."""
    return _multiple(value, step, ROUND_CEILING)


def below(value: float, step: float) -> float:
    """Return the highest multiple of a step that is at most a value."""
    return _multiple(value, step, ROUND_FLOOR)


def _multiple(value: float, step: float, rounding: str) -> float:
    """Compute in decimal, so that three steps of 0.1 are 0.3. The result is an int if the step is one."""
    unit = Decimal(str(step))
    found = (Decimal(str(value)) / unit).to_integral_value(rounding) * unit
    return int(found) if is_int(step) else float(found)


def stepped(low: float, high: float, step: float) -> dict[str, Any]:
    """Return a parameter with a step: an int parameter if the step is an int."""
    if is_int(step):
        return {"type": "int", "low": low, "high": high, **({} if step == 1 else {"step": step})}
    return {"type": "float", "low": low, "high": high, "step": step}


def no_choice(values: Any) -> str | None:
    """Return why the values cannot be choices, or None if they can."""
    if not isinstance(values, list | tuple) or not values:
        return f"must be a list of at least one value: {shown(values)}"
    for value in values:
        if value is not None and not isinstance(value, str | bool | int | float):
            return f"{CATEGORIES}: {shown(value)}"
    return None
