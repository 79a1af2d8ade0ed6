"""Bodies that take long are parsed in threads, and what is wrong with them is said in a process of its own."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient
from starlette.types import Receive, Scope, Send

from service.access.authenticator import Caller
from service.access.route_scopes import with_included
from service.errors import InvalidError
from service.schemas.final import FinalRequest
from service.schemas.study.definition import Definition
from service.schemas.tokens import NewToken
from service.web.app import ROUTERS
from service.web.body_limits import BodyLimits
from service.web.body_process import errors_of
from service.web.large_bodies import MAX_BYTES_AT_ONCE, MAX_BYTES_IN_THREAD, MAX_THREADS, LargeBodies
from service.web.own_process import OwnProcesses
from service.web.parsed_body import ParsedBodyRoute, parsed_body

ROUTES = [route for router in ROUTERS for route in router.routes]
LARGE_BODIES = LargeBodies(OwnProcesses(), ROUTES)
TOKEN = {"name": "a", "scopes": ["read"]}
SPACES = " " * MAX_BYTES_AT_ONCE


def parsed(body: str, method: str = "POST", path: str = "/v1/tokens", *, is_json: bool = True) -> Any:
    """What a route gets of a body, or the errors of the body."""
    scope = {"type": "http", "method": method, "path": path}
    try:
        asyncio.run(LARGE_BODIES.parse(scope, body.encode(), is_json=is_json))
    except InvalidError as error:
        return dict(error.errors or ())
    return parsed_body(scope)


@pytest.mark.parametrize(
    ("method", "path", "n_bytes", "is_large"),
    [
        ("POST", "/v1/tokens", MAX_BYTES_AT_ONCE, False),
        ("POST", "/v1/tokens", MAX_BYTES_AT_ONCE + 1, True),
        ("POST", "/v1/studies", 10, True),  # its choices and conditions may multiply
        ("PATCH", "/v1/studies/mnist", 10, False),
    ],
)
def test_a_body_is_parsed_in_a_thread_if_it_may_take_long(method: str, path: str, n_bytes: int, is_large: bool) -> None:
    assert LARGE_BODIES.is_large({"type": "http", "method": method, "path": path}, b" " * n_bytes) is is_large


def test_every_route_whose_body_has_a_model_takes_the_parsed_body() -> None:
    with_model = [route for route in ROUTES if isinstance(route, APIRoute) and route.body_field is not None]

    assert len(with_model) > 10
    assert [route.path for route in with_model if not isinstance(route, ParsedBodyRoute)] == []


def test_a_body_is_parsed_for_its_route() -> None:
    assert parsed(json.dumps(TOKEN) + SPACES) == NewToken.model_validate(TOKEN)


@pytest.mark.parametrize(
    ("method", "path", "is_json"),
    [("POST", "/nothing", True), ("DELETE", "/v1/artifacts/1/checkpoint", True), ("POST", "/v1/tokens", False)],
)
def test_a_body_without_a_model_is_not_parsed(method: str, path: str, is_json: bool) -> None:
    assert parsed(json.dumps(TOKEN), method, path, is_json=is_json) is None
    assert parsed("[" * 1000, method, path, is_json=is_json) == {
        "body": "body must not be nested deeper than 32 levels"
    }


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("{", {"body": "malformed JSON: Expecting property name enclosed in double quotes"}),
        ('{"name": 1' + "1" * 5000 + "}", {"body": "malformed JSON: it cannot be read"}),
        (json.dumps({**TOKEN, "path": 0}), {"path": "path is an unknown field"}),
    ],
)
def test_what_is_wrong_with_a_body_is_said(body: str, errors: dict[str, str]) -> None:
    assert parsed(body) == errors


@pytest.mark.processes
def test_a_very_large_body_of_a_model_that_may_be_left_out_is_checked() -> None:
    path, spaces = "/v1/studies/mnist/final", " " * MAX_BYTES_IN_THREAD

    assert parsed("{}" + spaces, path=path) == FinalRequest()
    assert parsed('{"wrong": 0}' + spaces, path=path) == {"wrong": "wrong is an unknown field"}


def test_fields_that_are_called_as_parts_of_a_request_keep_their_names() -> None:
    wrong = dict.fromkeys(["body", "path", "query", "other"], 0)
    errors = dict(errors_of(Definition, json.dumps(wrong).encode()))
    assert errors.keys() >= wrong.keys()


def test_requests_with_large_bodies_hold_no_thread_while_they_wait() -> None:
    n_requests = 3 * MAX_THREADS
    waiting: list[NewToken] = []
    router = APIRouter(route_class=ParsedBodyRoute)

    async def run() -> list[int]:
        all_wait = asyncio.Event()

        @router.post("/tokens")
        async def wait(new: NewToken) -> None:
            waiting.append(new)
            if len(waiting) == n_requests:
                all_wait.set()
            await all_wait.wait()

        app = FastAPI()
        app.include_router(router)
        limited = BodyLimits(app, OwnProcesses(), routes=router.routes)

        async def known(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"] = {"caller": Caller("admin", with_included("admin"), by_token=True)}
            await limited(scope, receive, send)

        async with AsyncClient(transport=ASGITransport(known), base_url="http://here") as client:
            body, headers = json.dumps(TOKEN) + SPACES, {"Content-Type": "application/json"}
            calls = [client.post("/tokens", content=body, headers=headers) for _ in range(n_requests)]
            return [answer.status_code for answer in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == [200] * n_requests
    assert waiting == [NewToken.model_validate(TOKEN)] * n_requests
