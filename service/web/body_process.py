"""Says what is wrong with a large body, in a process of its own: standard input to standard output.

Pydantic describes all errors in one step. Hundreds of thousands take seconds, in which no thread of a process goes on.
The input is one line with the body's model, as MODULE:CLASS, and then the body. The answer is a JSON list of
[field, message] pairs.
"""

import json
import sys
from importlib import import_module

from pydantic import BaseModel, ValidationError

from service.errors import InvalidError
from service.web.body_errors import errors_of_body, parse_body
from service.web.body_text import check_body
from service.web.own_process import limit_this_process


def errors_of(model: type[BaseModel], body: bytes) -> list[tuple[str, str]]:
    """The errors of a body, MAX_ERRORS at most."""
    try:
        check_body(body)
        parse_body(model, body)
    except InvalidError as error:
        return list(error.errors or ())
    except ValidationError as error:
        return errors_of_body(error)
    return []


def main() -> None:
    """Answer with the errors of the body on the standard input."""
    limit_this_process()
    name, _, body = sys.stdin.buffer.read().partition(b"\n")
    module, _, model = name.decode().partition(":")
    print(json.dumps(errors_of(getattr(import_module(module), model), body)))


if __name__ == "__main__":
    main()
