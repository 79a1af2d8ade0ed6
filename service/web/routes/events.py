"""Route of the event stream."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from service.events.event_stream import EVENTS_PATH, EventStream
from service.schemas.events import Event
from service.schemas.fields import NAME_PATTERN
from service.web.dependencies import AuthenticatorDependency, EventsDependency, RegistryDependency

router = APIRouter(tags=["events"])

OnlyStudy = Annotated[
    str | None,
    Query(alias="study", pattern=NAME_PATTERN, description="Only events of this study.", examples=["mnist-mlp"]),
]
LastEventIdHeader = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="Resume after this event. Browsers send it when they reconnect.",
        examples=["3f9c2a1b-1042"],
    ),
]
LastEventIdQuery = Annotated[
    str | None,
    Query(
        alias="last_event_id",
        description="Last-Event-ID for clients that cannot set headers; the header takes precedence.",
        examples=["3f9c2a1b-1042"],
    ),
]
Follow = Annotated[
    bool, Query(description="false: send the events that exist already and end the stream.", examples=[True])
]
STREAM_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"model": Event, "description": "An endless stream. The data of each event is one such object."}
}


@router.get(EVENTS_PATH, status_code=200, name="events", response_class=EventStream, responses=STREAM_ANSWER)
async def stream_events(
    registry: RegistryDependency,
    stream: EventsDependency,
    authenticator: AuthenticatorDependency,
    request: Request,
    study: OnlyStudy = None,
    header: LastEventIdHeader = None,
    last_event_id: LastEventIdQuery = None,
    follow: Follow = True,
) -> EventStream:
    """Follow the events of studies and trials.

    These are server-sent events, each sent once its change is committed. The stream starts with the next event, or
    after the last event that the client received. If some of those have left the service's memory (after a long
    absence or a restart of the service), the first event is `reset`: load the state again and read on. A comment every
    15 seconds keeps the connection open. The stream ends when its token is revoked or expires. It is refused with 503
    `too_many_readers` while the maximum number of clients reads.
    """
    if study is not None:
        registry.get(study)
    after = header if header is not None else last_event_id
    is_allowed = partial(authenticator.still_admits, request.scope)
    return EventStream(stream, study, after, follow=follow, is_allowed=is_allowed)
