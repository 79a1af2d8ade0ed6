"""What routes need from the application and from the path, as annotated aliases."""

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import Depends, Path, Request

from service.access.authenticator import LOCAL, Authenticator, Caller
from service.access.tokens import Tokens
from service.events.event_ring import EventRing
from service.leases.artifacts import Artifacts
from service.registry.registry import Registry
from service.results.histories import Histories
from service.results.trial_table import TrialTables
from service.schemas.fields import NAME_PATTERN, Identifier
from service.study.live_study import LiveStudy
from service.web.conversions import Conversions
from service.web.long_calls import long_calls

ANONYMOUS = "anonymous"


def registry_of(request: Request) -> Registry:
    """The application's registry of studies."""
    registry: Registry = request.app.state.registry
    return registry


def _part(name: str) -> Any:
    async def part(request: Request) -> Any:  # a coroutine, because FastAPI runs plain functions in a thread
        return getattr(request.app.state, name)

    return Depends(part)


RegistryDependency = Annotated[Registry, _part("registry")]
EventsDependency = Annotated[EventRing, _part("events")]
ArtifactsDependency = Annotated[Artifacts, _part("artifacts")]
ConversionsDependency = Annotated[Conversions, _part("conversions")]
HistoriesDependency = Annotated[Histories, _part("histories")]
TablesDependency = Annotated[TrialTables, _part("trial_tables")]
AuthenticatorDependency = Annotated[Authenticator, _part("authenticator")]


async def _tokens(authenticator: AuthenticatorDependency) -> Tokens:
    return authenticator.tokens


TokensDependency = Annotated[Tokens, Depends(_tokens)]


StudyNamePath = Annotated[
    str, Path(pattern=NAME_PATTERN, description="Name of the study.", examples=["mnist-mlp"], max_length=128)
]


def _study(registry: RegistryDependency, name: StudyNamePath) -> Iterator[LiveStudy]:
    live = registry.get(name)
    try:
        yield live
    except KeyError:  # raised by Optuna when the study was deleted while the route ran
        live.check_not_deleted()
        raise


StudyDependency = Annotated[LiveStudy, Depends(_study)]


async def _changed_study(live: StudyDependency) -> AsyncIterator[LiveStudy]:
    async with long_calls().change(live):
        yield live


ChangedStudyDependency = Annotated[LiveStudy, Depends(_changed_study)]
"""The study of a call that takes its lock. The call has a thread only once no other thread works on the study."""


async def _deleted_study(registry: RegistryDependency, name: StudyNamePath) -> AsyncIterator[str]:
    live = registry.find(name)
    async with nullcontext() if live is None else long_calls().change(live):
        yield name


DeletedStudyName = Annotated[str, Depends(_deleted_study)]
"""The name of a study that may be one that cannot be loaded. The call has a thread as with ChangedStudyDependency."""

TrialNumber = Annotated[
    int, Path(ge=0, lt=2**31, description="Number of the trial in its study, from 0.", examples=[12])
]
LeaseIdPath = Annotated[Identifier, Path(max_length=64, description="Id of the lease.", examples=["8f14e45fceea167a"])]


async def _caller_name(request: Request) -> str:
    """The name of the caller's token, ANONYMOUS without one."""
    caller = request.state.caller
    return caller.name if isinstance(caller, Caller) and caller.name != LOCAL else ANONYMOUS


CallerName = Annotated[str, Depends(_caller_name)]
