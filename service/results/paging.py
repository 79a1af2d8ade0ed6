"""Pages of trials and studies, in a stable order, with cursors that stay valid while trials are added."""

import base64
import binascii
import json
import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from service.errors import InvalidError

Item = TypeVar("Item")
Decoded = TypeVar("Decoded")
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
    items: Sequence[Item], key: Callable[[Item], Key], limit: int, cursor: str | None, *, is_sorted: bool = False
) -> tuple[list[Item], str | None]:
    """Return up to `limit` items after the cursor, and the cursor of the next page or None.

    Items that come sorted by their keys cost little, whatever their number. Raises InvalidError for a cursor that was
    not made here.
    """
    after = None if cursor is None else decode_cursor(cursor, key_from)
    ordered = items if is_sorted else sorted(items, key=key)
    first = 0 if after is None else bisect_right(ordered, after, key=key)
    entries = list(ordered[first : first + limit])
    return entries, encode_cursor(key(entries[-1])) if first + limit < len(ordered) else None


def take_page_by_name(
    items: Sequence[Item], name: Callable[[Item], str], limit: int, cursor: str | None
) -> tuple[list[Item], str | None]:
    """Like `take_page`, for items with unique names, in the order of these."""
    after = None if cursor is None else decode_cursor(cursor, _name_from)
    rest = sorted((item for item in items if after is None or name(item) > after), key=name)
    entries = rest[:limit]
    return entries, encode_cursor(name(entries[-1])) if len(rest) > limit else None


def encode_cursor(key: Key | str) -> str:
    """Return the cursor of the page after the item with this key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def key_from(value: Any) -> Key:
    """Return a key from its JSON. Raises TypeError, ValueError and OverflowError."""
    first, second = value
    return float(first), int(second)


def _name_from(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no name")
    return value


def decode_cursor(cursor: str, key_from: Callable[[Any], Decoded]) -> Decoded:
    """Return the key of a cursor, by `key_from` its JSON. Raises InvalidError for a cursor that was not made here."""
    try:
        return key_from(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))))
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidError([("cursor", f"cursor must come from next_cursor: {cursor[:40]!r}")]) from error
