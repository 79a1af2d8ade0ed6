"""Put a trial's parameters into the fixed training fields."""

import copy
from collections.abc import Mapping
from typing import Any

from service.schemas.fields import Scalar
from service.schemas.study.user_training import AnyTraining


def fixed_fields(training: AnyTraining) -> dict[str, Any]:
    """The fields that the definition sets, without defaults."""
    return training.model_dump(exclude_unset=True)


MISSING = object()


def is_index(part: str) -> bool:
    """Whether a part of a dotted path is the index of a list element: 0, 1, 2 and so on, without leading zeros."""
    return part.isascii() and part.isdecimal() and str(int(part)) == part


def find(tree: Any, path: list[str]) -> Any:
    """The value at a dotted path, or MISSING when the path leads nowhere."""
    for part in path:
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and is_index(part) and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return MISSING
    return tree


def resolve(fixed: Mapping[str, Any], params: Mapping[str, Scalar]) -> dict[str, Any]:
    """One trial's training fields, nested as the Training model has them.

    A key is a dotted path. Numbers in it index a list that is searched element by element: `model.hidden.0`
    and `model.hidden.1` make `hidden`. An element whose parameter is inactive is left out, and those after it
    move up.
    """
    tree: dict[str, Any] = copy.deepcopy(dict(fixed))
    for key, value in sorted(params.items(), key=lambda item: item[0].count(".")):  # a field before its parts
        *parents, last = key.split(".")
        node = tree
        for part in parents:
            child = node.setdefault(part, {})
            if isinstance(child, str):  # a shorthand: {schedule: step, schedule.gamma: 0.3}
                child = node[part] = {"name": child}
            elif isinstance(child, list):
                child = node[part] = {str(index): item for index, item in enumerate(child)}
            elif not isinstance(child, dict):
                child = node[part] = {}
            node = child
        node[last] = value
    listed = _lists(tree)
    assert isinstance(listed, dict), "the root has named fields"
    return listed


def _lists(node: Any) -> Any:
    """Turn objects whose keys are all numbers into lists, in order of the numbers."""
    if isinstance(node, list):
        return [_lists(value) for value in node]
    if not isinstance(node, dict):
        return node
    if node and all(is_index(key) for key in node):
        return [_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _lists(value) for key, value in node.items()}
