"""The way in and out for browsers: a token is shown once, and a session's cookie from then on."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service.access.authenticator import LOGIN, Authenticator, address_of, session_id
from service.access.origins import check_same_origin
from service.access.sessions import COOKIE, LIFETIME_SECONDS
from service.access.tokens import Holder
from service.errors import InsufficientScopeError, ServiceError, UnauthorizedError
from service.web import login_page
from service.web.dependencies import GateDependency

router = APIRouter(include_in_schema=False)

HOME = "/dashboard"


async def _fields(request: Request) -> dict[str, str]:
    """What the page's form sends; nothing, when it is not from there."""
    body = (await request.body()).decode(errors="replace")
    try:
        return {name: values[-1] for name, values in parse_qs(body, max_num_fields=10).items()}
    except ValueError:
        return {}


FieldsDependency = Annotated[dict[str, str], Depends(_fields)]


@router.get("/login")
def page(request: Request, gate: GateDependency, next: str = HOME) -> Response:
    """The form; for who is logged in, the way on and out."""
    if not gate.tokens.exist:
        return RedirectResponse(_local(next), 303)
    try:
        caller = gate.logged_in(request.headers)
    except UnauthorizedError as error:
        return _form(next, error)
    if caller is None:
        return _form(next)
    scopes = ", ".join(sorted(caller.openers))
    return _html(login_page.inside(caller.name, scopes))


@router.post("/login")
async def login(request: Request, gate: GateDependency, fields: FieldsDependency) -> Response:
    """Begin a session with a token that may look."""
    check_same_origin("POST", request.headers, by_browser=False)
    wanted = fields.get("next", HOME)
    try:
        holder = _reader(gate, fields.get("token", "").strip(), address_of(request.scope))
    except ServiceError as error:
        return _form(wanted, error)
    gate.sessions.end(session_id(request.headers))
    response = RedirectResponse(_local(wanted), 303)
    response.set_cookie(
        COOKIE,
        gate.sessions.begin(holder.digest),
        max_age=LIFETIME_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def logout(request: Request, gate: GateDependency) -> Response:
    """End the session."""
    check_same_origin("POST", request.headers, by_browser=False)
    gate.sessions.end(session_id(request.headers))
    response = RedirectResponse(LOGIN, 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response


def _reader(gate: Authenticator, secret: str, address: str) -> Holder:
    if not secret:
        raise UnauthorizedError("a token is needed")
    holder = gate.check(secret, address)
    if "read" not in holder.openers:
        scopes = ", ".join(sorted(holder.openers))
        raise InsufficientScopeError(f"these pages need a token with the scope read; {holder.name} opens {scopes}")
    return holder


def _form(wanted: str, error: ServiceError | None = None) -> Response:
    response = _html(login_page.form(_local(wanted), error.detail if error else None))
    if error is not None:
        response.status_code = error.status
    if error is not None and error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _html(content: str) -> HTMLResponse:
    return HTMLResponse(content, headers={"Content-Security-Policy": login_page.POLICY})


def _local(wanted: str) -> str:
    """A path of this service, whatever somebody wrote into the link; browsers take \\ for /."""
    is_path = wanted.startswith("/") and wanted[1:2] not in ("/", "\\") and wanted.isprintable()
    return wanted if is_path and not wanted.startswith(LOGIN) else HOME
