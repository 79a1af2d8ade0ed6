"""The application in this process with a clock that stands still, and what users and workers call, as methods."""

import itertools
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import httpx
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.client import Client
from service.events.event_ring import EventRing
from service.sampling.custom.custom_samplers import CustomSamplers
from service.web.app import create_app, tick
from storage import BlobStore, FolderStore, Store, wait_rule
from tests.server_sent_events import ServerSentEvent, parse

Json = dict[str, Any]

wait_rule.is_strict = True

LEASE_SECONDS = 60.0
NEVER = 86_400.0
MAX_ARTIFACT_BYTES = 3 * 1024**2
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

    def set_back(self, seconds: float) -> None:
        """As an administrator does: the monotonic time goes on."""
        self._now -= timedelta(seconds=seconds)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def local_client(app: FastAPI) -> TestClient:
    """A caller on the application's own machine."""
    return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000), raise_server_exceptions=False)


class Service:
    """A running application. `restart` ends it and starts another one on the same database."""

    custom_samplers: CustomSamplers | None = None

    def __init__(self, url: str, *, token: str | None = None, capacity: int = 10_000) -> None:
        self.url = url
        self._capacity = capacity
        self.clock = FakeClock()
        self.token = token
        self._claims = itertools.count()
        self._temporary = TemporaryDirectory(prefix="narrows-artifacts-")
        self.folder = Path(self._temporary.name)
        self.blobs: BlobStore = FolderStore(self.folder)
        self._open()

    def _open_store(self) -> Store:
        return Store.open(self.url)

    def _open(self) -> None:
        self.store = self._open_store()
        self.app: FastAPI = create_app(
            self.store,
            clock=self.clock,
            lease_seconds=LEASE_SECONDS,
            token=self.token,
            blobs=self.blobs,
            max_artifact_bytes=MAX_ARTIFACT_BYTES,
            stream=EventRing(capacity=self._capacity),
            tick_seconds=NEVER,
            custom_samplers=self.custom_samplers,
        )
        self.http = local_client(self.app)
        self.http.__enter__()

    def close(self) -> None:
        self.http.__exit__()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
        self._temporary.cleanup()

    def tick(self) -> None:
        """What a running service does by itself twice a second; here it happens only when a test says so."""
        tick(self.app)

    def restart(self) -> None:
        self.close()
        self._open()

    # What users call

    def client(self, token: str | None = None) -> Client:
        """A client whose requests go to the application in this process."""

        def pass_on(request: httpx.Request) -> httpx.Response:
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            answer = self.http.request(request.method, str(request.url), content=request.read(), headers=headers)
            return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

        return Client("http://127.0.0.1", token, transport=httpx.MockTransport(pass_on))

    def get(self, path: str, **query: Any) -> Json:
        response = self.http.get(f"/v1{path}", params=query)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def create(self, **changes: Any) -> str:
        wanted = definition(**changes)
        response = self.http.post("/v1/studies", json=wanted)
        assert response.status_code == 201, response.text
        return str(wanted["name"])

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

    def events_after(self, last_event_id: str, **query: Any) -> list[ServerSentEvent]:
        """What the event stream has after an event, up to now."""
        query |= {"last_event_id": last_event_id, "follow": False}
        response = self.http.get("/v1/events", params=query)
        assert response.status_code == 200, response.text
        return [event for event in parse(response.text) if event.type is not None]

    # What an admin calls

    def create_token(self, name: str, scopes: list[str], **more: Any) -> str:
        """Make a token, as the operator if there is one, and answer its secret."""
        headers = {} if self.token is None else bearer(self.token)
        body = {"name": name, "scopes": scopes, **more}
        response = self.http.post("/v1/tokens", json=body, headers=headers)
        assert response.status_code == 201, response.text
        secret: str = response.json()["token"]
        return secret

    # What workers call

    def claim(
        self, study: str | None = None, max_trials: int = 1, worker: str = "worker", host: str = "", **more: Any
    ) -> list[Json]:
        claim_id = f"{secrets.token_hex(4)}-{next(self._claims)}"
        body = {"claim_id": claim_id, "worker": {"id": worker, "host": host}}
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
        return str(decided["decision"])

    def complete(self, lease: Json, value: Any = 0.5, **more: Any) -> str:
        return self._end(lease, "complete", {"metrics": {"validation_accuracy": value}, **more})

    def fail(self, lease: Json, reason: str = "it broke", *, retry: bool = False) -> str:
        return self._end(lease, "fail", {"reason": reason, "retry": retry})

    def pause(self, lease: Json) -> str:
        return self._end(lease, "pause", None)

    def release(self, lease: Json) -> str:
        return self._end(lease, "release", None)

    def _end(self, lease: Json, how: str, body: Json | None) -> str:
        response = end(self, lease, how, body)
        assert response.status_code == 200, response.text
        state: str = response.json()["state"]
        return state

    def upload(self, lease: Json, name: str, content: Any, step: int | None = None, **headers: str) -> Json:
        query = {} if step is None else {"step": step}
        response = self.http.put(
            f"/v1/artifacts/{lease['lease_id']}/{name}", params=query, content=content, headers=headers
        )
        assert response.status_code == 200, response.text
        artifact: Json = response.json()
        return artifact

    def download(self, study: str, number: int, name: str) -> bytes:
        response = self.http.get(f"/v1/artifacts/{study}/{number}/{name}")
        assert response.status_code == 200, response.text
        content: bytes = response.content
        return content

    def artifacts(self, study: str, number: int) -> list[Json]:
        found: list[Json] = self.get(f"/studies/{study}/trials/{number}/artifacts")["artifacts"]
        return found

    def blob_files(self) -> list[str]:
        """Names of the files of artifacts, after what nothing has any more was removed."""
        self.app.state.artifacts.sweep()
        return sorted(path.name for path in self.folder.iterdir())

    def run(self, study: str, n_trials: int = 1, value: float = 0.5) -> list[Json]:
        """Claim, report once and complete trials, one after another."""
        leases = []
        for _ in range(n_trials):
            lease = self.claim_one(study)
            self.report(lease, 0, value)
            self.complete(lease, value)
            leases.append(lease)
        return leases


def end(service: Service, lease: Json, how: str, body: Any = None) -> Any:
    """The response to a call that ends a lease."""
    return service.http.post(f"/v1/leases/{lease['lease_id']}/{how}", json=body)


def problem_of(response: Any, status: int) -> Json:
    """The body of an answer that must be a problem of that status; the dashboard's have the member that it shows."""
    assert response.status_code == status, f"{response.status_code}: {response.text[:2000]}"
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert body["status"] == status
    assert set(body) - {"errors", "request_id", "reason"} == {"type", "title", "status", "detail", "code"}
    assert ("request_id" in body) == (status >= 500)
    assert body.get("reason", body["detail"]) == body["detail"]
    assert all(isinstance(body[name], str) and body[name] for name in ("type", "title", "detail", "code"))
    for error in body.get("errors", []):
        assert {"field", "message"} <= set(error) <= {"field", "message", "line"}
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
