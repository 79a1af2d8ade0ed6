"""Translate every error into problem details (RFC 9457), once, at the HTTP edge."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.errors import InvalidError, ServiceError
from service.schemas.locations import field_of, message_of
from service.schemas.problem import FieldProblem, Problem
from storage import DATABASE_ERRORS, StorageError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100
CODES = {404: "not_found", 405: "method_not_allowed"}


def install(app: FastAPI) -> None:
    """Answer every error of an application as a problem."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    for error in (*DATABASE_ERRORS, StorageError):
        app.add_exception_handler(error, _database_error)
    app.add_exception_handler(Exception, _unexpected)


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[tuple[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """One problem as a response."""
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=None
        if errors is None
        else [FieldProblem(field=field, message=message) for field, message in errors[:MAX_ERRORS]],
    )
    return JSONResponse(body.model_dump(exclude_none=True), status, headers=headers, media_type=MEDIA_TYPE)


def validation_errors(items: Sequence[Any]) -> list[tuple[str, str]]:
    """Pydantic's errors as (field, message), the first of each field; the definition's own rules spelled out."""
    found: dict[str, str] = {}
    for item in items:
        if item["type"] == "definition":
            for field, message in item["ctx"]["errors"]:
                found.setdefault(field, message)
            continue
        location = tuple(part for part in item["loc"])
        if item["type"] == "json_invalid":
            found.setdefault("body", f"malformed JSON: {item.get('ctx', {}).get('error', item['msg'])}")
            continue
        if isinstance(item.get("input"), bytes):  # what FastAPI hands over when it is not sent as JSON
            found.setdefault("body", "body must be sent as application/json or application/yaml")
            continue
        if location and location[0] in ("body", "query", "path", "header"):
            location = location[1:]
        found.setdefault(field_of(location), message_of(item))
    return list(found.items())


async def _service_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError), "registered for it"
    headers = {"WWW-Authenticate": 'Bearer, Basic realm="Narrows"'} if error.status == HTTPStatus.UNAUTHORIZED else None
    return problem(error.status, error.code, error.detail, error.errors, headers)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for it"
    invalid = InvalidError(validation_errors(error.errors()))
    return problem(invalid.status, invalid.code, invalid.detail, invalid.errors)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for it"
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's, for what is no text or no readable number
        invalid = InvalidError([("body", "malformed JSON: it cannot be read")])
        return problem(invalid.status, invalid.code, invalid.detail, invalid.errors)
    code = CODES.get(error.status_code, "http_error")
    return problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {}))


async def _database_error(_request: Request, error: Exception) -> JSONResponse:
    log.error("the database does not answer: %s", error)
    detail = str(error) if isinstance(error, StorageError) else "the database does not answer: try again"
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", detail, headers={"Retry-After": "2"})


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an error that is not yours: the log has more")
