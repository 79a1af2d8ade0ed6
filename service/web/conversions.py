"""Converts definitions of other systems in processes of their own, with limits on their time and memory."""

import json
from functools import partial

from anyio import CapacityLimiter, to_thread

from service.errors import InvalidError
from service.schemas.conversion import NewConversion
from service.web import conversion_process
from service.web.own_process import Limits, OwnProcessError, OwnProcesses

LIMITS = Limits(seconds=30.0, memory_bytes=1024**3)
MAX_PROCESSES = 2


class Conversions:
    """Runs at most MAX_PROCESSES conversions at a time."""

    def __init__(self, own_processes: OwnProcesses) -> None:
        self._own_processes = own_processes
        self._limiter = CapacityLimiter(MAX_PROCESSES)

    async def convert(self, new: NewConversion) -> str:
        """The text of a definition. Raises InvalidError, OverloadedError and ShuttingDownError."""
        call = partial(self._own_processes.call, conversion_process.__name__, new.model_dump_json().encode(), LIMITS)
        try:
            answer = json.loads(await to_thread.run_sync(call, limiter=self._limiter))
        except OwnProcessError as error:
            raise InvalidError([("text", f"text that cannot be converted: {error}")]) from error
        if "errors" in answer:
            raise InvalidError([("text", line) for line in answer["errors"]])
        definition: str = answer["definition"]
        return definition
