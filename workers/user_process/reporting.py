"""`from narrows import report` in the program of a command, in any environment: only the standard library is used.

A worker puts a copy of this file on the program's path as the module `narrows`. Where Narrows itself is installed, the
copy steps back for it.
"""

import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

SOCKET = "NARROWS_SOCKET"
_lock = threading.Lock()


def report(step: int, **metrics: float) -> str:
    """Report the metrics of a step, counted from 0. Returns the decision: continue, prune or stop.

    End the program unless the decision is `continue`: later reports do not count, and the worker ends it otherwise.
    Returns `continue` at once in a program that no worker has started, so the same program runs by hand. Raises
    ValueError without a metric, and TypeError for a metric that is not a number.
    """
    if not metrics:
        raise ValueError(f"a report must have a metric: step {step}")
    message: dict[str, Any] = {"step": int(step)}
    for name, value in metrics.items():
        try:
            message[name] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"metric {name} must be a number: {value!r}") from None
    address = os.environ.get(SOCKET)
    if not address:
        return "continue"
    with _lock, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(json.dumps(message).encode() + b"\n")
        with connection.makefile("rb") as lines:
            answer = lines.readline()
    return str(json.loads(answer)["decision"]) if answer else "stop"


def _step_back() -> None:
    """Put the installed Narrows, if there is one, in the place of this copy."""
    here = Path(__file__).resolve().parent
    path, copy = sys.path[:], sys.modules[__name__]
    sys.path[:] = [folder for folder in path if Path(folder).resolve() != here]
    del sys.modules[__name__]
    try:
        __import__(__name__)
    except ImportError:
        sys.modules[__name__] = copy
    else:
        installed = sys.modules[__name__]
        if not hasattr(installed, "report"):  # an older version
            installed.report = report  # type: ignore[attr-defined]
    finally:
        sys.path[:] = path


if __name__ == "narrows":
    _step_back()
