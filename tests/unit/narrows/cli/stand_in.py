"""A server on loopback with canned answers, for commands that open their own connections."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEFINITION = {
    "name": "digits",
    "search_space": {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}},
    "training": {"dataset": "digits", "model": "mlp"},
    "n_trials": 30,
}


def trial_json(number: int, value: float | None = 0.97, **changes: Any) -> dict[str, Any]:
    return {
        "study": "digits",
        "number": number,
        "state": "FAIL" if value is None else "COMPLETE",
        "params": {"learning_rate": 0.0123456},
        "values": None if value is None else [value],
        "metrics": {},
        "step": 19,
        "attempts": [],
        "reason": None,
        "worker": "host/1/cpu",
        "started_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:04:15Z",
        "duration_seconds": 10.0,
        **changes,
    }


def study_json(state: str = "running", complete: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "state": state,
        "definition": DEFINITION,
        "trial_counts": {"COMPLETE": complete, "RUNNING": 2, "PRUNED": 3},
        "best": trial_json(7, 0.98611) if complete else None,
        "created_at": "2026-01-02T03:04:05Z",
        "started_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:05:05Z" if state == "finished" else None,
        "finished_reason": "all 30 trials are finished" if state == "finished" else None,
        "trials_per_hour": 600.0 if complete else None,
        **changes,
    }


def token_json(name: str = "lab-gpu", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "scopes": ["work"],
        "created_at": "2026-01-02T03:04:05Z",
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        **changes,
    }


@dataclass
class StandIn:
    """Answers `METHOD /path?query` from a table; what is not in it is a 404."""

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, request: str, body: Any) -> tuple[int, bytes]:
        self.requests.append((request, body))
        missing = {
            "title": "Not found",
            "status": 404,
            "detail": "no study of this name: 'x'",
            "code": "study_not_found",
        }
        status, content = self.answers.get(request, (404, missing))
        return status, content if isinstance(content, bytes) else json.dumps(content).encode()


@contextmanager
def stand_in() -> Iterator[StandIn]:
    service = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, content = service.answer(f"{self.command} {self.path}", body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            self.send_header("Content-Digest", f"sha-256=:{digest}:")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do  # noqa: N815

        def log_message(self, format: str, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
