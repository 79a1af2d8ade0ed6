"""Converts YAML to JSON in a process of its own: standard input to standard output.

A megabyte of YAML takes seconds, in which a thread of the service would hold up every other call.
"""

import json
import sys

from service.schemas import yaml_text
from service.web.own_process import limit_this_process


def json_of_yaml(text: bytes) -> bytes:
    """The JSON text of a YAML text. Raises ValueError for what is not YAML or cannot be JSON."""
    try:
        return json.dumps(yaml_text.load(text)).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def main() -> None:
    """Answer with `{"json": TEXT}`, or with `{"error": TEXT}` for a text that is malformed."""
    limit_this_process()
    try:
        answer = {"json": json_of_yaml(sys.stdin.buffer.read()).decode()}
    except ValueError as error:
        answer = {"error": str(error)}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
