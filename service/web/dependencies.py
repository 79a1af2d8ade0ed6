"""What routes need, as annotated aliases."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Path, Request

from service.access.authenticator import LOCAL, Authenticator, Caller
from service.access.tokens import Tokens
from service.events.event_ring import EventRing
from service.registry.registry import Registry
from service.schemas.fields import NAME_PATTERN, Identifier
from service.study.live_study import LiveStudy

ANONYMOUS = "anonymous"


def registry_of(request: Request) -> Registry:
    """The application's studies."""
    registry = request.app.state.registry
    assert isinstance(registry, Registry), "set by create_app"
    return registry


RegistryDependency = Annotated[Registry, Depends(registry_of)]


async def _events(request: Request) -> EventRing:
    events = request.app.state.events
    assert isinstance(events, EventRing), "set by create_app"
    return events


EventsDependency = Annotated[EventRing, Depends(_events)]


def _gate(request: Request) -> Authenticator:
    gate = request.app.state.gate
    assert isinstance(gate, Authenticator), "set by create_app"
    return gate


GateDependency = Annotated[Authenticator, Depends(_gate)]


def _tokens(gate: GateDependency) -> Tokens:
    return gate.tokens


TokensDependency = Annotated[Tokens, Depends(_tokens)]


def _study(
    registry: RegistryDependency,
    name: Annotated[
        str, Path(pattern=NAME_PATTERN, description="Name of the study.", examples=["mnist-mlp"], max_length=128)
    ],
) -> Iterator[LiveStudy]:
    live = registry.get(name)
    try:
        yield live
    except KeyError:  # Optuna's, for a study that is not there
        live.check_not_deleted()
        raise


StudyDependency = Annotated[LiveStudy, Depends(_study)]

TrialNumber = Annotated[
    int, Path(ge=0, lt=2**31, description="Number of the trial in its study, from 0.", examples=[12])
]
LeaseIdPath = Annotated[Identifier, Path(max_length=64, description="Id of the lease.", examples=["8f14e45fceea167a"])]


def asker(request: Request) -> str:
    """The name of the caller's token."""
    caller = request.state.caller
    return caller.name if isinstance(caller, Caller) and caller.name != LOCAL else ANONYMOUS
