"""HTTP requests to the service, with errors translated into those of the client."""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal, TypedDict, TypeVar, Unpack

import httpx
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from service.client.errors import ServiceError, UnexpectedAnswerError, UnreachableError
from service.schemas.locations import first_error
from service.schemas.problem import Problem

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Query = Mapping[str, str | int | float | None]
BodyToSend = BaseModel | Mapping[str, Any] | bytes | None
"""Bytes are YAML text."""
Answer = TypeVar("Answer", bound=BaseModel)

ERRNO = re.compile(r"^\[Errno -?[0-9]+\] ")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no server. Reading the certificates of this machine takes 25 ms, and http:// needs none of them."""


class Given(TypedDict, total=False):
    """What a request may have. `wait_seconds` is how long the service may delay its answer on purpose."""

    query: Query | None
    body: BodyToSend
    wait_seconds: float


class Transport:
    """Sends requests. Raises UnreachableError, UnexpectedAnswerError and ServiceError, and no errors of httpx."""

    def __init__(
        self, server: str, token: str | None, transport: httpx.BaseTransport | None, timeout_seconds: float
    ) -> None:
        self.server = server.rstrip("/")
        self._timeout_seconds = timeout_seconds
        with self._translated():
            url = httpx.URL(self.server)
            self._http = httpx.Client(
                base_url=self.server,
                headers={} if token is None else {"Authorization": f"Bearer {token}"},
                transport=transport,
                timeout=timeout_seconds,
                trust_env=url.host not in LOOPBACK,  # a proxy cannot reach this machine's loopback
                verify=NO_CERTIFICATES if url.scheme == "http" else True,
            )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, answer: type[Answer], method: Method, path: str, **given: Unpack[Given]) -> Answer:
        """Send a request and parse the JSON answer."""
        return self.parse(answer, self.send(method, path, **given))

    def send(self, method: Method, path: str, **given: Unpack[Given]) -> bytes:
        """Send a request and return the body of the answer."""
        return self.exchange(method, path, **given)[1]

    def exchange(self, method: Method, path: str, **given: Unpack[Given]) -> tuple[int, bytes]:
        """Send a request and return the status and the body of the answer."""
        body = given.get("body")
        with self._translated():
            response = self._http.request(
                method,
                path,
                params=_given(given.get("query")),
                content=_encode(body),
                headers={} if body is None else {"Content-Type": _type_of(body)},
                timeout=self._timeout_seconds + given.get("wait_seconds", 0.0),
            )
        self._check(response)
        return response.status_code, response.content

    def stream(self, path: str, query: Query) -> Iterator[bytes]:
        """The body of the answer to a GET request, in pieces as they arrive."""
        with self.opened(path, query) as response:
            yield from response.iter_bytes()

    @contextmanager
    def opened(self, path: str, query: Query | None = None) -> Iterator[httpx.Response]:
        """The answer to a GET request, whose body is not read yet."""
        with self._translated(), self._http.stream("GET", path, params=_given(query)) as response:
            if not response.is_success:
                response.read()
            self._check(response)
            yield response

    def upload(
        self, path: str, query: Query, content: BinaryIO, headers: Mapping[str, str], wait_seconds: float
    ) -> bytes:
        """PUT the content of a file, read piece by piece, and return the body of the answer."""
        with self._translated():
            response = self._http.put(
                path,
                params=_given(query),
                content=content,
                headers={"Content-Type": "application/octet-stream", **headers},
                timeout=self._timeout_seconds + wait_seconds,
            )
        self._check(response)
        return response.content

    def parse(self, model: type[Answer], content: bytes) -> Answer:
        """The answer in a body. Raises UnexpectedAnswerError."""
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise UnexpectedAnswerError(
                f"{self.server} sent an answer that this version of Narrows does not know: {first_error(error)}"
            ) from error

    def _check(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise ServiceError(_problem(response, self.server), _retry_after_seconds(response))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise UnreachableError(
                f"cannot reach {self.server}: no answer within {self._timeout_seconds:g} seconds"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = ERRNO.sub("", str(error)) or type(error).__name__
            raise UnreachableError(f"cannot reach {self.server}: {reason}") from error


def _given(query: Query | None) -> dict[str, str | int | float]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _type_of(body: BodyToSend) -> str:
    return "application/yaml" if isinstance(body, bytes) else "application/json"


def _encode(body: BodyToSend) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, BaseModel):
        try:
            return body.model_dump_json(exclude_unset=True).encode()
        except PydanticSerializationError:
            body = body.model_dump(mode="json", exclude_unset=True)
    # nan, infinity and halves of surrogate pairs are sent as they are, so that the service names the field that must
    # not hold them.
    return json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")


def _problem(response: httpx.Response, server: str) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        line = f"{server} answered {response.status_code} {response.reason_phrase} to {response.request.url.path}"
        return Problem(
            title=response.reason_phrase or "Error",
            status=response.status_code,
            detail=line,
            code="unknown",
        )


def _retry_after_seconds(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
