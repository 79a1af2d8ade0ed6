"""Call the functions that build custom models and data sets. Only a trial's own process does that."""

import copy
import importlib
from typing import Any

from workers.errors import CustomCodeError, MissingCodeError


def call_function(entrypoint: str, arguments: dict[str, Any]) -> Any:
    """Import the function that the entrypoint names and call it with a copy of the arguments.

    Raises MissingCodeError if its module cannot be imported, CustomCodeError if the module has no such function, and
    whatever the code raises.
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
