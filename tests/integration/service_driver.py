"""The application in this process with a clock that stands still, and what users and workers call, as methods."""

import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import psycopg
from fastapi import FastAPI
from psycopg import sql
from sqlalchemy import make_url
from starlette.testclient import TestClient

from service.app import create_app
from storage import Store
from tests.conftest import POSTGRES, skip_or_fail

Json = dict[str, Any]

LEASE_SECONDS = 60.0
LEARNING_RATE: Json = {"type": "float", "low": 1e-5, "high": 0.1, "log": True}


def definition(**changes: Any) -> Json:
    """A small valid definition without a pruner, with some fields changed."""
    return {
        "name": f"study-{secrets.token_hex(6)}",
        "search_space": {"learning_rate": LEARNING_RATE},
        "training": {"dataset": "digits", "model": "mlp"},
        "sampler": {"name": "random", "seed": 0},
        "pruner": "none",
        "n_trials": 3,
        **changes,
    }


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class Service:
    """A running application. `restart` ends it and starts another one on the same database."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url
        self.clock = FakeClock()
        self._token = token
        self._claims = itertools.count()
        self._open()

    def _open_store(self) -> Store:
        return Store.open(self.url)

    def _open(self) -> None:
        self.store = self._open_store()
        self.app: FastAPI = create_app(self.store, clock=self.clock, lease_seconds=LEASE_SECONDS, token=self._token)
        self.http = TestClient(self.app, raise_server_exceptions=False)
        self.http.__enter__()

    def close(self) -> None:
        self.http.__exit__()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def restart(self) -> None:
        self.close()
        self._open()

    # What users call

    def get(self, path: str, **query: Any) -> Json:
        response = self.http.get(f"/v1{path}", params=query)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def create(self, **changes: Any) -> str:
        wanted = definition(**changes)
        response = self.http.post("/v1/studies", json=wanted)
        assert response.status_code == 201, response.text
        name: str = wanted["name"]
        return name

    def study(self, name: str) -> Json:
        return self.get(f"/studies/{name}")

    def counts(self, name: str) -> dict[str, int]:
        """Trials by state, states without any left out."""
        return {state: count for state, count in self.study(name)["trial_counts"].items() if count}

    def trial(self, name: str, number: int) -> Json:
        return self.get(f"/studies/{name}/trials/{number}")

    def trials(self, name: str, **query: Any) -> list[Json]:
        found: list[Json] = self.get(f"/studies/{name}/trials", **query)["trials"]
        return found

    def change(self, name: str, **changes: Any) -> Json:
        response = self.http.patch(f"/v1/studies/{name}", json=changes)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    # What workers call

    def claim(self, study: str | None = None, max_trials: int = 1, worker: str = "worker", **more: Any) -> list[Json]:
        body = {"claim_id": f"{secrets.token_hex(4)}-{next(self._claims)}", "worker": {"id": worker}}
        response = self.http.post("/v1/claims", json={**body, "study": study, "max_trials": max_trials, **more})
        assert response.status_code == 200, response.text
        leases: list[Json] = response.json()["leases"]
        return leases

    def claim_one(self, study: str) -> Json:
        (lease,) = self.claim(study)
        return lease

    def report(self, lease: Json, step: int, value: Any = 0.5, **metrics: Any) -> str:
        """Report an epoch of a trial, and answer the decision."""
        item = {"lease_id": lease["lease_id"], "step": step, "metrics": {"validation_accuracy": value, **metrics}}
        response = self.http.post("/v1/reports", json={"reports": [item]})
        assert response.status_code == 200, response.text
        (decided,) = response.json()["decisions"]
        assert (decided["lease_id"], decided["step"]) == (lease["lease_id"], step)
        decision: str = decided["decision"]
        return decision

    def complete(self, lease: Json, value: Any = 0.5, **more: Any) -> str:
        return self._end(lease, "complete", {"metrics": {"validation_accuracy": value}, **more})

    def fail(self, lease: Json, reason: str = "it broke", *, retry: bool = False) -> str:
        return self._end(lease, "fail", {"reason": reason, "retry": retry})

    def release(self, lease: Json) -> str:
        return self._end(lease, "release", None)

    def _end(self, lease: Json, how: str, body: Json | None) -> str:
        response = self.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json=body)
        assert response.status_code == 200, response.text
        state: str = response.json()["state"]
        return state

    def run(self, study: str, n_trials: int = 1, value: float = 0.5) -> list[Json]:
        """Claim, report once and complete trials, one after another."""
        leases = []
        for _ in range(n_trials):
            lease = self.claim_one(study)
            self.report(lease, 0, value)
            self.complete(lease, value)
            leases.append(lease)
        return leases


def problem_of(response: Any, status: int) -> Json:
    """The body of an answer that must be a problem of that status."""
    assert response.status_code == status, f"{response.status_code}: {response.text[:2000]}"
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert body["status"] == status
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail", "code"))
    for error in body.get("errors", []):
        assert set(error) == {"field", "message"}
        assert error["field"]
        assert error["message"]
    return body


def code_of(response: Any, status: int) -> str:
    code: str = problem_of(response, status)["code"]
    return code


def errors_of(response: Any) -> dict[str, str]:
    """Field and message of each error of an answer that must be a 422."""
    body = problem_of(response, 422)
    return {error["field"]: error["message"] for error in body["errors"]}


@contextmanager
def postgres_database() -> Iterator[str]:
    """A PostgreSQL database, for fixtures that outlive a test; dropped afterwards."""
    server = os.environ.get("NARROWS_TEST_POSTGRES") or POSTGRES
    name = sql.Identifier(f"narrows_test_{secrets.token_hex(6)}")
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        skip_or_fail(f"NO POSTGRESQL: {str(error).splitlines()[0]}", "NARROWS_REQUIRE_POSTGRES")
    with connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield make_url(server).set(database=name._obj[0]).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
