"""Finds the lines of wrong fields in a YAML body, so that an editor can show each message beside its line."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from anyio import CapacityLimiter, to_thread
from starlette.types import Scope

from service.errors import OverloadedError, ServiceError
from service.schemas.yaml_text import lines_of
from service.web import yaml_lines_process
from service.web.own_process import Limits, OwnProcessError, OwnProcesses

KEY = "narrows.yaml_lines"
"""The key of a function in the scope of a request with a YAML body: fields to their lines."""

FindLines = Callable[[Iterable[str]], Awaitable[Mapping[str, int]]]


class YamlLines:
    """Finds lines in a thread, and those of bodies of more than `max_bytes` in a process of its own."""

    def __init__(self, own_processes: OwnProcesses, limits: Limits, processes: CapacityLimiter, max_bytes: int) -> None:
        self._own_processes = own_processes
        self._limits = limits
        self._processes = processes
        self._max_bytes = max_bytes

    def keep(self, scope: Scope, text: bytes) -> None:
        """Let `lines_in_body` find lines in this body of a request."""
        scope[KEY] = partial(self._find, text)

    async def _find(self, text: bytes, fields: Iterable[str]) -> Mapping[str, int]:
        if len(text) <= self._max_bytes:
            return await to_thread.run_sync(lines_of, text, fields)
        given = json.dumps(list(fields)).encode() + b"\n" + text
        call = partial(self._own_processes.call, yaml_lines_process.__name__, given, self._limits)
        try:
            lines: dict[str, int] = json.loads(await to_thread.run_sync(call, limiter=self._processes))
        except (OwnProcessError, OverloadedError):  # the messages are worth more than their lines
            return {}
        return lines


async def lines_in_body(scope: Scope, error: ServiceError) -> Mapping[str, int]:
    """The lines of the fields of an error, empty for a body that was not YAML."""
    line = getattr(error, "line", None)
    if line is not None and error.errors:
        return {error.errors[0][0]: line}
    find: FindLines | None = scope.get(KEY)
    return {} if find is None or not error.errors else await find([field for field, _ in error.errors])
