import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.client import Client, ServiceError, UnexpectedAnswerError, UnreachableError
from service.client.retries import Retries

CONTENT = os.urandom(3_000_000)
ARTIFACT = {
    "name": "model",
    "size_bytes": len(CONTENT),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "step": 3,
    "attempt": 1,
    "created_at": "2026-01-02T03:04:05Z",
}
Handler = Callable[[httpx.Request], httpx.Response]


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def client(handler: Handler) -> Client:
    return Client("http://service:8000", transport=httpx.MockTransport(handler))


def at_once() -> Retries:
    """Retries that do not wait."""

    class NoTime:
        def is_set(self) -> bool:
            return False

        def wait(self, seconds: float, /) -> None:
            assert seconds >= 0

    return Retries(60.0, NoTime())


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"title": "No", "status": status, "detail": "it is so", "code": code})


@pytest.fixture(params=["file", "bytes"])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> Path | bytes:
    if request.param == "bytes":
        return CONTENT
    path = tmp_path / "weights.safetensors"
    path.write_bytes(CONTENT)
    return path


def test_an_upload_sends_the_content_with_its_digest(content: Path | bytes) -> None:
    requests = []

    def take(request: httpx.Request) -> httpx.Response:
        requests.append((request, request.read()))
        return httpx.Response(200, json=ARTIFACT)

    kept = client(take).upload_artifact("lease/1", "model", content, step=3)

    assert (kept.name, kept.size_bytes, kept.step) == ("model", len(CONTENT), 3)
    ((request, body),) = requests
    assert (request.method, str(request.url)) == ("PUT", "http://service:8000/v1/artifacts/lease%2F1/model?step=3")
    assert request.headers["Content-Digest"] == digest(CONTENT)
    assert request.headers["Content-Length"] == str(len(CONTENT))
    assert body == CONTENT


def test_an_upload_is_sent_whole_again_when_it_is_repeated(content: Path | bytes) -> None:
    bodies = []
    answers: list[httpx.Response | httpx.TransportError] = [
        problem(503, "database_unavailable"),
        problem(408, "upload_incomplete"),
        httpx.ConnectError("refused"),
        httpx.Response(200, json=ARTIFACT),
    ]

    def take(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        answer = answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    at_once()(lambda: client(take).upload_artifact("lease", "model", content))

    assert bodies == [CONTENT] * 4


@pytest.mark.parametrize(("status", "code"), [(409, "lease_lost"), (413, "too_large"), (507, "insufficient_storage")])
def test_an_upload_that_is_refused_is_not_repeated(status: int, code: str) -> None:
    with pytest.raises(ServiceError, match="it is so") as refused:
        at_once()(lambda: client(lambda _: problem(status, code)).upload_artifact("lease", "model", b"x"))

    assert refused.value.code == code


def test_a_file_that_is_not_there_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client(lambda _: problem(500, "never asked")).upload_artifact("lease", "model", tmp_path / "none")


def download(tmp_path: Path, handler: Handler) -> Path:
    path = tmp_path / "model"
    client(handler).download_artifact("a study", 12, "model", path)
    return path


def test_a_download_brings_the_content_to_a_path(tmp_path: Path) -> None:
    urls = []

    def give(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        return httpx.Response(200, content=CONTENT, headers={"Content-Digest": digest(CONTENT)})

    (tmp_path / "model").write_bytes(b"older")

    assert download(tmp_path, give).read_bytes() == CONTENT
    assert urls == ["http://service:8000/v1/artifacts/a%20study/12/model"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def broken_off() -> Iterator[bytes]:
    yield CONTENT[:1000]
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ({"content": CONTENT[:-1], "headers": {"Content-Digest": digest(CONTENT)}}, UnexpectedAnswerError, "SHA-256"),
        ({"content": CONTENT}, UnexpectedAnswerError, "SHA-256"),
        ({"content": broken_off(), "headers": {"Content-Digest": digest(CONTENT)}}, UnreachableError, "peer closed"),
        ({"status_code": 404, "json": problem(404, "artifact_not_found").json()}, ServiceError, "it is so"),
    ],
)
def test_a_download_that_fails_leaves_what_was_there(
    tmp_path: Path, answer: dict[str, Any], error: type[Exception], said: str
) -> None:
    (tmp_path / "model").write_bytes(b"older")

    with pytest.raises(error, match=said):
        download(tmp_path, lambda _: httpx.Response(**{"status_code": 200, **answer}))

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model", b"older")]


def test_the_artifacts_of_a_trial_are_listed() -> None:
    (found,) = client(lambda _: httpx.Response(200, json={"artifacts": [ARTIFACT]})).artifacts("digits", 3)

    assert found.model_dump(mode="json") == ARTIFACT
