"""Routes that replace the Optuna dashboard's calls that change something.

The dashboard reads JSON from every answer, so a change is answered with an empty object instead of 204.
"""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from optuna.trial import TrialState
from pydantic import BeforeValidator, Field

from service.schemas.fields import Answer, Scalar
from service.web.dashboard import changes
from service.web.dependencies import RegistryDependency
from service.web.long_calls import long_calls
from service.web.parsed_body import ParsedBodyRoute
from service.web.problems import problem_response


async def _change(request: Request, registry: RegistryDependency) -> AsyncIterator[None]:
    """Wait for the study of a call, so that it has a thread only once no other thread works on the study."""
    ids = request.path_params
    live = changes.find_study(registry, ids.get("study_id"), ids.get("trial_id"))
    async with nullcontext() if live is None else long_calls().change(live):
        yield


router = APIRouter(prefix="/api", include_in_schema=False, route_class=ParsedBodyRoute, dependencies=[Depends(_change)])

Done = dict[str, None]
DONE: Done = {}

Id = Annotated[int, Path(ge=0, lt=2**31)]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class TrialEnd(Answer):
    """The state and objective values that a trial is ended with."""

    state: Annotated[Literal["COMPLETE", "FAIL"], BeforeValidator(_upper)]
    values: list[float] | None = Field(None, max_length=1000)


class UserAttributes(Answer):
    """User attributes to set."""

    user_attrs: dict[str, Scalar] = Field(min_length=1, max_length=1000)


class Note(Answer):
    """A note and its version number."""

    version: int = Field(ge=1, lt=2**31)
    body: str


@router.delete("/studies/{study_id:int}")
def delete_study_by_id(registry: RegistryDependency, study_id: Id) -> Done:
    """Delete a study without leases."""
    changes.delete_unleased_study(registry, study_id)
    return DONE


@router.post("/trials/{trial_id:int}/tell")
def tell_trial(registry: RegistryDependency, trial_id: Id, end: TrialEnd) -> Done:
    """End a trial by hand."""
    changes.end_trial(registry, trial_id, TrialState[end.state], end.values)
    return DONE


@router.post("/trials/{trial_id:int}/user-attrs")
def set_attributes_by_id(registry: RegistryDependency, trial_id: Id, attributes: UserAttributes) -> Done:
    """Set user attributes of a trial."""
    changes.set_attributes(registry, trial_id, attributes.user_attrs)
    return DONE


@router.put("/studies/{study_id:int}/note")
def save_study_note(registry: RegistryDependency, study_id: Id, note: Note) -> Response:
    """Save the note of a study."""
    return _answer(changes.save_note(registry, study_id, None, note.version, note.body))


@router.put("/studies/{study_id:int}/{trial_id:int}/note")
def save_trial_note(registry: RegistryDependency, study_id: Id, trial_id: Id, note: Note) -> Response:
    """Save the note of a trial."""
    return _answer(changes.save_note(registry, study_id, trial_id, note.version, note.body))


def _answer(newer: dict[str, Any] | None) -> Response:
    """An empty object, or a conflict with the newer note for the dashboard to show."""
    if newer is None:
        return JSONResponse(DONE)
    detail = "the note was changed meanwhile: copy your text and load the page again"
    return problem_response(409, "conflict", detail, more={"reason": detail, "note": newer})
