"""How the service logs: a line of text or a JSON object each, with the request, study, trial and lease it is about."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import optuna

from service.web.request_ids import current_request, request_id

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
