"""What tests of imports bring in."""

from typing import Any

from tests.integration.service_driver import Json

SPACE: Json = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
}


def one(**changes: Any) -> Json:
    return {"params": {"learning_rate": 0.01, "batch_size": 64}, "values": [0.9], **changes}
