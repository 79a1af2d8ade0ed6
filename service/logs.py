"""Logging as text or JSON lines, with the request, study, trial and lease that a line is about."""

import json
import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import optuna
from starlette.types import Scope

from service.schemas.log_lines import LineFormatter

LogFormat = Literal["text", "json"]
SUBJECT_FIELDS = ("study", "trial", "lease")


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Log messages of `level` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def log_extra(study: str, trial: int | None = None, lease: str | None = None) -> dict[str, Any]:
    """The `extra` argument of a log call about a study, trial or lease."""
    return {"study": study, "trial": trial, "lease": lease}


class TextFormatter(LineFormatter):
    """Formats a record as one line of text that ends with the request id."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The message line with the request id, if there is one."""
        line = super().formatMessage(record)
        current_id = request_id()
        return line if current_id is None else f"{line} [request {current_id}]"


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line, without the fields that are unknown."""

    def format(self, record: logging.LogRecord) -> str:
        """The JSON object as text."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id(),
            **_subject(record),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
            "stack": record.stack_info,
        }
        return json.dumps({name: value for name, value in entry.items() if value is not None}, default=str)


def _subject(record: logging.LogRecord) -> dict[str, Any]:
    current = _current.get()
    of_request = {} if current is None else current.subject()
    of_record = {name: value for name in SUBJECT_FIELDS if (value := getattr(record, name, None)) is not None}
    return of_record if "study" in of_record else {**of_request, **of_record}


@dataclass(slots=True)
class CurrentRequest:
    """The request that is being handled: its id, its ASGI scope, and the study, trial and lease that it concerns."""

    id: str
    scope: Scope
    study: str | None = None
    trial: int | None = None
    lease: str | None = None

    def subject(self) -> dict[str, Any]:
        """Study, trial and lease where they are known: as set by `set_request_subject`, otherwise from the path."""
        template = getattr(self.scope.get("route"), "path", "")
        path = self.scope.get("path_params", {})
        from_path = {
            "study": path.get("name") if "/studies/{name}" in template else None,
            "trial": path.get("number") if "/trials/{number}" in template else None,
            "lease": path.get("lease_id"),
        }
        known = {"study": self.study, "trial": self.trial, "lease": self.lease}
        return {name: from_path[name] if value is None else value for name, value in known.items()}


_current: ContextVar[CurrentRequest | None] = ContextVar("narrows_request", default=None)


def start_request(request_id: str, scope: Scope) -> None:
    """Make this the current request of the running task, for its log lines and those of its threads."""
    _current.set(CurrentRequest(request_id, scope))


def request_id() -> str | None:
    """The id of the current request, or None outside of a request."""
    current = _current.get()
    return None if current is None else current.id


def set_request_subject(study: str, trial: int, lease: str) -> None:
    """Set the study, trial and lease that the log lines of the current request name."""
    current = _current.get()
    if current is not None:
        current.study, current.trial, current.lease = study, trial, lease
