"""Call the functions that build custom models and data sets. Only a trial's own process does that."""

import copy
from typing import Any

from workers.user_process.forked_code import ends_forks
from workers.user_process.function import import_function


def call_function(entrypoint: str, arguments: dict[str, Any]) -> Any:
    """Import the function that the entrypoint names and call it with a copy of the arguments.

    Raises RetryElsewhereError if its module cannot be imported, EntrypointError if the module has no such function, and
    whatever the code raises.
    """
    with ends_forks():
        return import_function(entrypoint)(copy.deepcopy(arguments))
