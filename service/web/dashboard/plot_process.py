"""Computes a plot of the Optuna dashboard in a process of its own, from the trials on its standard input.

A contour of 10 parameters and 10,000 trials takes tens of gigabytes, which must not be the service's.
"""

import io
import json
import pickle
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from service.web.own_process import limit_memory

CHUNK = 500
"""Trials that are pickled at once: other threads of the service wait as long as that takes."""


class PlotRequest(NamedTuple):
    """What is asked for: the part of the path after the study's id, and the query. `directions` are the study's."""

    view: str
    query: str
    name: str
    directions: list[StudyDirection]


def pickled(request: PlotRequest, trials: Sequence[FrozenTrial]) -> bytes:
    """The standard input for a plot of these trials, all trials of a study in their order."""
    parts = [pickle.dumps(request)]
    parts += [pickle.dumps(trials[start : start + CHUNK]) for start in range(0, len(trials), CHUNK)]
    return b"".join(parts)


def _unpickled(given: bytes) -> Iterator[Any]:
    source = io.BytesIO(given)
    while source.tell() < len(given):
        yield pickle.load(source)


def plot(given: bytes) -> bytes:
    """The dashboard's answer: one line of JSON with its status and content type, then its body."""
    from optuna_dashboard import wsgi

    request, *chunks = _unpickled(given)
    storage = InMemoryStorage()
    study_id = storage.create_new_study(request.directions, request.name)
    for trial in (trial for chunk in chunks for trial in chunk):
        storage.create_new_trial(study_id, trial)
    head: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        types = [value for name, value in headers if name.lower() == "content-type"]
        head.update(status=int(status.split()[0]), type=types[0] if types else "application/json")

    environment = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/api/studies/{study_id}/{request.view}",
        "QUERY_STRING": request.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_ACCEPT_ENCODING": "identity",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    body = b"".join(wsgi(storage)(environment, start_response))
    return json.dumps(head).encode() + b"\n" + body


if __name__ == "__main__":
    limit_memory()
    answer = plot(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answer)
