"""Server-sent events as the HTML standard (section 9.2.6) reads them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ServerSentEvent:
    """One block of a stream. A block of comments alone has no type; `id` is the last one up to here."""

    id: str | None
    type: str | None
    text: str
    comments: list[str] = field(default_factory=list)
    retry: int | None = None

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


def blocks(lines: Iterable[str]) -> Iterator[ServerSentEvent]:
    """The blocks of a stream, line by line as they come; what is cut short is left out."""
    last_id: str | None = None
    fields: dict[str, str] = {}
    data: list[str] = []
    comments: list[str] = []
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not name:
                comments.append(value)
            elif name == "data":
                data.append(value)
            else:
                assert name in ("id", "event", "retry"), line
                fields[name] = value
            continue
        last_id = fields.get("id", last_id)
        kind = fields.get("event", "message") if data else None
        retry = int(fields["retry"]) if "retry" in fields else None
        yield ServerSentEvent(last_id, kind, "\n".join(data), comments, retry)
        fields, data, comments = {}, [], []


def parse(text: str) -> list[ServerSentEvent]:
    """All blocks of a stream that has ended."""
    assert text.endswith("\n\n"), text[-200:]
    return list(blocks(text.split("\n")[:-1]))
