"""Finds the lines of fields in a YAML text, in a process of its own: standard input to standard output.

The input is one line with a JSON list of the fields, and then the text. The answer is a JSON object of their lines.
"""

import json
import sys

from service.schemas.yaml_text import lines_of
from service.web.own_process import limit_this_process


def main() -> None:
    """Answer with the lines of the fields on the standard input."""
    limit_this_process()
    fields, _, text = sys.stdin.buffer.read().partition(b"\n")
    print(json.dumps(lines_of(text, json.loads(fields))))


if __name__ == "__main__":
    main()
