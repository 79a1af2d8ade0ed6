"""What tests of the event stream read from it."""

from tests.integration.service_driver import Service
from tests.server_sent_events import ServerSentEvent, parse


def now(service: Service) -> str:
    """The id that a client gets when it connects."""
    response = service.http.get("/v1/events", params={"follow": False})
    *_, last = parse(response.text)
    assert last.id is not None
    return last.id


def told(events: list[ServerSentEvent]) -> list[tuple[str | None, int | None]]:
    return [(event.type, event.data.get("trial")) for event in events]


def types(events: list[ServerSentEvent]) -> list[str | None]:
    return [event.type for event in events]
