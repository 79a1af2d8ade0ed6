"""Pages of trials and studies, in a stable order, with cursors that stay valid while trials are added."""

import base64
import binascii
import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError

Item = TypeVar("Item")
Key = tuple[float, int]

MAX_LIMIT = 1000


ORDERS: dict[str, Callable[[FrozenTrial], float | None]] = {
    "number": lambda trial: trial.number,
    "value": lambda trial: trial.values[0] if trial.values and trial.state == TrialState.COMPLETE else None,
    "started_at": lambda trial: None if trial.datetime_start is None else trial.datetime_start.timestamp(),
    "duration_seconds": lambda trial: None if trial.duration is None else trial.duration.total_seconds(),
}


def trial_key(order_by: str) -> Callable[[FrozenTrial], Key]:
    """Return the sort key for an order such as `number` or `-value`.

    Trials without that value come last, after those with an infinite one.
    """
    order = ORDERS[order_by.removeprefix("-")]
    sign = -1 if order_by.startswith("-") else 1

    def key(trial: FrozenTrial) -> Key:
        value = order(trial)
        missing = value is None or math.isnan(value)
        return math.inf if missing or value is None else min(sign * value, sys.float_info.max), sign * trial.number

    return key


def take_page(
    items: Sequence[Item], key: Callable[[Item], Key], limit: int, cursor: str | None
) -> tuple[list[Item], str | None]:
    """Return up to `limit` items after the cursor, and the cursor of the next page or None.

    Raises InvalidError for a cursor that was not made here.
    """
    after = _decode(cursor) if cursor is not None else None
    ordered = sorted(items, key=key)
    rest = ordered if after is None else [item for item in ordered if key(item) > after]
    entries = rest[:limit]
    return entries, _encode(key(entries[-1])) if len(rest) > limit else None


def _encode(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _decode(cursor: str) -> Key:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        value: Any = json.loads(text)
        first, second = value
        return float(first), int(second)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidError([("cursor", f"cursor must come from next_cursor: {cursor[:40]!r}")]) from error
