"""A service that gives the answers of a test."""

import json
from typing import Any

import httpx

from service.client import Client

DEFINITION = {
    "name": "digits",
    "search_space": {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}},
    "training": {"dataset": "digits", "model": "mlp"},
    "n_trials": 3,
}


STUDY = {
    "name": "digits",
    "state": "running",
    "definition": DEFINITION,
    "trial_counts": {},
    "best": None,
    "created_at": "2026-01-02T03:04:05Z",
    "started_at": None,
    "finished_at": None,
    "finished_reason": None,
    "trials_per_hour": None,
}


class Service:
    """Answers every request with the next of its answers, and keeps the requests."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    def client(self, token: str | None = None) -> Client:
        return Client("http://service:8000/", token, httpx.MockTransport(self))

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)


def problem(status: int, **headers: str) -> httpx.Response:
    body = {"title": "No", "status": status, "detail": "no such study: 'x'", "code": "study_not_found"}
    return httpx.Response(status, json=body, headers=headers)
