"""Computes a view of the Optuna dashboard in a process of its own, from the trials on its standard input.

A contour of 10 parameters and 10,000 trials takes tens of gigabytes, and a study of 20 parameters and 10,000 trials ten
seconds, which must not be the service's.
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

from service.web.own_process import limit_this_process
from storage import copy_study

CHUNK = 500
"""Trials that are pickled at once: other threads of the service wait as long as that takes."""


class ViewRequest(NamedTuple):
    """What is asked for, the path, the query and the most bytes of an answer, and the study without its trials."""

    path: str
    query: str
    max_bytes: int
    study_id: int
    name: str
    directions: list[StudyDirection]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]


def pickled(request: ViewRequest, trials: Sequence[FrozenTrial]) -> bytes:
    """The standard input for a view of these trials, all trials of a study in their order."""
    parts = [pickle.dumps(request)]
    parts += [pickle.dumps(trials[start : start + CHUNK]) for start in range(0, len(trials), CHUNK)]
    return b"".join(parts)


def _unpickled(given: bytes) -> Iterator[Any]:
    source = io.BytesIO(given)
    while source.tell() < len(given):
        yield pickle.load(source)


def _stored(given: bytes) -> tuple[ViewRequest, InMemoryStorage]:
    """The request, and a storage with the study. The study and its trials have the same ids as in the service."""
    request, *chunks = _unpickled(given)
    trials = (trial for chunk in chunks for trial in chunk)
    storage = copy_study(request.study_id, request.name, request.directions, trials)
    for key, value in request.user_attrs.items():
        storage.set_study_user_attr(request.study_id, key, value)
    for key, value in request.system_attrs.items():
        storage.set_study_system_attr(request.study_id, key, value)
    return request, storage


def view(given: bytes) -> bytes:
    """The dashboard's answer: one line of JSON with its status, headers and size, then its body.

    The body is left out if it has more than the most bytes of the request.
    """
    from optuna_dashboard import wsgi

    request, storage = _stored(given)
    head: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        head.update(status=int(status.split()[0]), headers=dict(headers))

    environment = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": request.path.encode().decode("latin-1"),
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
    head["n_bytes"] = len(body)
    return json.dumps(head).encode() + b"\n" + (body if len(body) <= request.max_bytes else b"")


if __name__ == "__main__":
    limit_this_process()
    # The dashboard imports it, which takes most of the time, for importances that it computes in another way.
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    answer = view(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answer)
