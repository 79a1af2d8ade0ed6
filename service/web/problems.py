"""Translates every error into problem details (RFC 9457), once, at the HTTP edge."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import InvalidError, ServiceError
from service.logs import request_id
from service.schemas.problem import FieldProblem, Problem
from service.web.body_errors import MAX_ERRORS, UNREADABLE, validation_errors
from service.web.request_ids import HEADER
from service.web.security_headers import with_security_headers
from service.web.yaml_lines import lines_in_body
from storage import DATABASE_ERRORS, BlobStoreError, BlobStoreFullError, StorageError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
DASHBOARD_API = "/api/"
"""The Optuna dashboard shows the field `reason` of an error answer."""
CODES = {404: "not_found", 405: "method_not_allowed"}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of the application with problem details."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    for error in (*DATABASE_ERRORS, StorageError):
        app.add_exception_handler(error, _database_error)
    app.add_exception_handler(BlobStoreError, _blob_store_error)
    app.add_exception_handler(Exception, _unexpected_error)


def problem_response(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[tuple[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    more: dict[str, Any] | None = None,
    lines: Mapping[str, int] | None = None,
) -> JSONResponse:
    """A response with problem details, `more` fields included. `lines` are those of fields in a YAML body."""
    known = lines or {}
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=None
        if errors is None
        else [FieldProblem(field=name, message=text, line=known.get(name)) for name, text in errors[:MAX_ERRORS]],
        request_id=request_id() if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
    )
    content = {**body.model_dump(exclude_none=True), **(more or {})}
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def error_response(error: ServiceError, path: str, lines: Mapping[str, int] | None = None) -> JSONResponse:
    """An error as a response, with the headers of its status and, for the dashboard's API, the field `reason`.

    `lines` are those of fields in a YAML body.
    """
    headers: dict[str, str] = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="Narrows"'
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    more = {"reason": error.detail} if path.startswith(DASHBOARD_API) else None
    return problem_response(error.status, error.code, error.detail, error.errors, headers, more, lines)


async def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError), "registered for this type"
    return error_response(error, request.url.path, await lines_in_body(request.scope, error))


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this type"
    invalid = InvalidError(validation_errors(error.errors()))
    lines = await lines_in_body(request.scope, invalid)
    return problem_response(invalid.status, invalid.code, invalid.detail, invalid.errors, lines=lines)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for this type"
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI, for a body that is not UTF-8 or has an unreadable number
        invalid = InvalidError([("body", UNREADABLE)])
        return problem_response(invalid.status, invalid.code, invalid.detail, invalid.errors)
    code = CODES.get(error.status_code, "http_error")
    return problem_response(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))


async def _database_error(_request: Request, error: Exception) -> JSONResponse:
    log.error("the database does not answer: %s", error)
    detail = str(error) if isinstance(error, StorageError) else "the database does not answer: try again"
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", detail, headers={"Retry-After": "2"}
    )


async def _blob_store_error(_request: Request, error: Exception) -> JSONResponse:
    log.error("%s", error)
    if isinstance(error, BlobStoreFullError):
        return problem_response(HTTPStatus.INSUFFICIENT_STORAGE, "insufficient_storage", str(error))
    headers = {"Retry-After": "2"}
    return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "artifacts_unavailable", str(error), headers=headers)


async def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", exc_info=error)
    # Starlette calls this handler outside of our middleware, so the headers that the middleware adds are added here.
    headers = {HEADER: request_id() or ""}
    detail = f"internal error; see the service log for request ID {request_id()}"
    response = problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail, headers=headers)
    response.raw_headers = with_security_headers(response.raw_headers, request.scope)
    return response
