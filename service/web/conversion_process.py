"""Converts a definition of another system, in a process of its own: standard input to standard output.

A text of a few lines may stand for very many values, or nest deeper than a parser bears.
"""

import json
import sys
from pathlib import Path

from service.conversion.draft import ConversionError, Given
from service.conversion.files import convert
from service.schemas.conversion import NewConversion
from service.web.own_process import limit_this_process

SUFFIXES = {"yaml": ".yaml", "json": ".json", "python": ".py"}


def main() -> None:
    """Answer with `{"definition": TEXT}`, or with `{"errors": [TEXT, …]}` for what cannot be converted."""
    limit_this_process()
    new = NewConversion.model_validate_json(sys.stdin.buffer.read())
    given = Given(new.name, new.entrypoint, new.metric, new.direction, new.n_trials, new.space)
    file = Path("sweep").with_suffix(SUFFIXES[new.format])
    try:
        answer: dict[str, object] = {"definition": convert(new.text.encode(), file, given)}
    except ConversionError as error:
        answer = {"errors": error.lines}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
