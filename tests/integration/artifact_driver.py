"""What tests of artifacts do over HTTP."""

import base64
import hashlib
from typing import Any

from tests.integration.service_driver import (
    Json,
    Service,
)

CONTENT = bytes(range(251)) * 5000


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def put(service: Service, lease: Json, name: str = "model", content: Any = b"x", **more: Any) -> Any:
    return service.http.put(f"/v1/artifacts/{lease['lease_id']}/{name}", content=content, **more)
