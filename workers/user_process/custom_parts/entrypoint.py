"""The functions that entrypoints of own models and data sets name. They are called in a trial's own process alone."""

import copy
import importlib
from typing import Any

from workers.errors import CustomCodeError, MissingCodeError


def call(entrypoint: str, arguments: dict[str, Any]) -> Any:
    """What the function gives for a copy of the arguments.

    Raises MissingCodeError, CustomCodeError, and what the code raises.
    """
    module_name, _, name = entrypoint.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise MissingCodeError(f"{entrypoint} cannot be imported: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise CustomCodeError(f"{module_name} must have a function {name}: it has {type(function).__name__}")
    return function(copy.deepcopy(arguments))
