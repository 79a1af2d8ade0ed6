"""Routes for browsers: a user enters a token once and gets a session cookie."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service.access.authenticator import LOGIN, Authenticator, peer_of, session_id_of
from service.access.origins import check_same_origin
from service.access.sessions import COOKIE, LIFETIME_SECONDS
from service.access.tokens import TokenHolder
from service.errors import InsufficientScopeError, ServiceError, UnauthorizedError
from service.web import login_page
from service.web.dependencies import AuthenticatorDependency

router = APIRouter(include_in_schema=False)

HOME = "/"


async def _fields(request: Request) -> dict[str, str]:
    """The fields of the login form, empty if the body is not a form."""
    body = (await request.body()).decode(errors="replace")
    try:
        return {name: values[-1] for name, values in parse_qs(body, max_num_fields=10).items()}
    except ValueError:
        return {}


FieldsDependency = Annotated[dict[str, str], Depends(_fields)]


@router.get(LOGIN)
def show_login(request: Request, authenticator: AuthenticatorDependency, next: str = HOME) -> Response:
    """Show the login form or, to a logged-in user, links and a button to log out."""
    if not authenticator.tokens.any_exist:
        return RedirectResponse(_local(next), 303)
    try:
        caller = authenticator.session_caller(request.headers)
    except UnauthorizedError as error:
        return _form(next, error)
    if caller is None:
        return _form(next)
    return _html(login_page.session_page(caller.name, caller.scopes))


@router.post(LOGIN)
async def log_in(request: Request, authenticator: AuthenticatorDependency, fields: FieldsDependency) -> Response:
    """Start a session with a token that has the scope read."""
    check_same_origin("POST", request.headers, by_browser=False)
    next_path = fields.get("next", HOME)
    try:
        holder = _reader(authenticator, fields.get("token", "").strip(), peer_of(request.scope))
    except ServiceError as error:
        return _form(next_path, error)
    await authenticator.sessions.end(session_id_of(request.headers))
    session_id = await authenticator.sessions.start(holder)
    response = RedirectResponse(_local(next_path), 303)
    response.set_cookie(
        COOKIE,
        session_id,
        max_age=LIFETIME_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def log_out(request: Request, authenticator: AuthenticatorDependency) -> Response:
    """End the session."""
    check_same_origin("POST", request.headers, by_browser=False)
    await authenticator.sessions.end(session_id_of(request.headers))
    response = RedirectResponse(LOGIN, 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response


def _reader(authenticator: Authenticator, secret: str, peer: str) -> TokenHolder:
    if not secret:
        raise UnauthorizedError("a token is needed")
    holder = authenticator.check_token(secret, peer)
    if "read" not in holder.scopes:
        scopes = ", ".join(sorted(holder.scopes))
        raise InsufficientScopeError(f"these pages need a token with the scope read; {holder.name} opens {scopes}")
    return holder


def _form(next_path: str, error: ServiceError | None = None) -> Response:
    response = _html(login_page.login_form(_local(next_path), error.detail if error else None))
    if error is not None:
        response.status_code = error.status
    if error is not None and error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _html(content: str) -> HTMLResponse:
    return HTMLResponse(content, headers={"Content-Security-Policy": login_page.POLICY})


def _local(path: str) -> str:
    """The path if it leads to this service, HOME otherwise: links are forged, and browsers read a backslash as /."""
    is_path = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable()
    return path if is_path and not path.startswith(LOGIN) else HOME
