"""Converts YAML to JSON in a process of its own: standard input to standard output.

A megabyte of YAML takes seconds, in which a thread of the service would hold up every other call.
"""

import json
import sys

from service.schemas import yaml_text
from service.web.own_process import limit_this_process


def json_of_yaml(text: bytes) -> bytes:
    """The JSON text of a YAML text. Raises YamlError for what is not YAML or cannot be JSON."""
    try:
        return json.dumps(yaml_text.load(text)).encode()
    except yaml_text.YamlError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise yaml_text.YamlError(str(error)) from error


def main() -> None:
    """Answer with `{"json": TEXT}`, or with `{"error": TEXT, "line": NUMBER}` for a text that is malformed."""
    limit_this_process()
    try:
        answer: dict[str, object] = {"json": json_of_yaml(sys.stdin.buffer.read()).decode()}
    except yaml_text.YamlError as error:
        answer = {"error": str(error), "line": error.line}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
