"""What routes need, as annotated aliases."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Path, Request

from service.live_study import LiveStudy
from service.registry import Registry
from service.schemas.fields import NAME_PATTERN, Identifier


def _registry(request: Request) -> Registry:
    registry = request.app.state.registry
    assert isinstance(registry, Registry), "set by create_app"
    return registry


RegistryDependency = Annotated[Registry, Depends(_registry)]


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
