"""How the service logs: a line of text or a JSON object each, with the request, study, trial and lease it is about."""

import json
import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import optuna
from starlette.types import Scope

LogFormat = Literal["text", "json"]
ABOUT = ("study", "trial", "lease")


def configure(level: str, log_format: LogFormat) -> None:
    """Log to standard error from that level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def about(study: str, trial: int | None = None, lease: str | None = None) -> dict[str, Any]:
    """What a log call is about, as its `extra`."""
    return {"study": study, "trial": trial, "lease": lease}


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        line = super().formatMessage(record)
        name = request_id()
        return line if name is None else f"{line} [request {name}]"


class JsonFormatter(logging.Formatter):
    """One object a line; fields that are not known are left out."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id(),
            **_about(record),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in entry.items() if value is not None}, default=str)


def _about(record: logging.LogRecord) -> dict[str, Any]:
    current = current_request()
    known = {} if current is None else current.about()
    own = {name: value for name in ABOUT if (value := getattr(record, name, None)) is not None}
    return {**known, **own} if "study" not in own else own


@dataclass(slots=True)
class CurrentRequest:
    """The request at hand, and what it turned out to be about."""

    id: str
    scope: Scope
    study: str | None = None
    trial: int | None = None
    lease: str | None = None

    def about(self) -> dict[str, Any]:
        """Study, trial and lease as far as they are known: from what was found, else from the path."""
        template = getattr(self.scope.get("route"), "path", "")
        path = self.scope.get("path_params", {})
        named = {
            "study": path.get("name") if "/studies/{name}" in template else None,
            "trial": path.get("number") if "/trials/{number}" in template else None,
            "lease": path.get("lease_id"),
        }
        found = {"study": self.study, "trial": self.trial, "lease": self.lease}
        return {name: found[name] if found[name] is not None else named[name] for name in found}


_current: ContextVar[CurrentRequest | None] = ContextVar("narrows_request", default=None)


def current_request() -> CurrentRequest | None:
    return _current.get()


def request_id() -> str | None:
    """The id of the request at hand, or None outside of one."""
    current = _current.get()
    return None if current is None else current.id


def concerns(study: str, trial: int, lease: str) -> None:
    """Note what the request at hand is about, for the log."""
    current = _current.get()
    if current is not None:
        current.study, current.trial, current.lease = study, trial, lease
