"""What happens, as it happens."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from service.events.event_stream import EventStream
from service.schemas.events import Event
from service.schemas.fields import NAME_PATTERN
from service.web.dependencies import EventsDependency, GateDependency, RegistryDependency

router = APIRouter(prefix="/v1", tags=["events"])

OnlyStudy = Annotated[
    str | None,
    Query(alias="study", pattern=NAME_PATTERN, description="Only events of this study.", examples=["mnist-mlp"]),
]
LastEventIdHeader = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="Go on after this event. Browsers send it when they connect again.",
        examples=["3f9c2a1b-1042"],
    ),
]
LastEventIdQuery = Annotated[
    str | None,
    Query(alias="last_event_id", description="The same for tools; the header wins.", examples=["3f9c2a1b-1042"]),
]
Follow = Annotated[
    bool, Query(description="false: answer with the events that there are, and end the stream.", examples=[True])
]
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"model": Event, "description": "A stream that does not end. The data of each event is one such object."}
}


@router.get("/events", status_code=200, response_class=EventStream, responses=STREAMED)
async def events(
    registry: RegistryDependency,
    stream: EventsDependency,
    gate: GateDependency,
    request: Request,
    study: OnlyStudy = None,
    header: LastEventIdHeader = None,
    last_event_id: LastEventIdQuery = None,
    follow: Follow = True,
) -> EventStream:
    """Server-sent events: what has happened to studies and trials, each once its writes are in the database.

    The stream begins with what happens from now on, or after the last event that the client has had. When some of
    those are no longer kept (a client that was away for long, a service that has started again), the first event is
    `reset`: load the state again; the stream goes on from there. A comment every 15 seconds keeps the line open. The
    stream ends with the token that opened it.
    """
    if study is not None:
        registry.get(study)
    after = header if header is not None else last_event_id
    is_allowed = partial(gate.still_admits, request.scope)
    return EventStream(stream, study, after, follow=follow, is_allowed=is_allowed)
