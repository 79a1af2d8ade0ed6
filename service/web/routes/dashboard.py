"""The dashboard's own calls that change something, answered by the service.

Its pages read JSON from every answer, so what is done is answered by an empty object and not by 204.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from optuna.trial import TrialState
from pydantic import BeforeValidator, Field

from service.schemas.fields import Answer, Scalar
from service.web.dashboard import changes as dashboard_changes
from service.web.dependencies import RegistryDependency
from service.web.problems import problem

router = APIRouter(prefix="/api", include_in_schema=False)

Done = dict[str, None]
DONE: Done = {}

Id = Annotated[int, Path(ge=0, lt=2**31)]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Tell(Answer):
    state: Annotated[Literal["COMPLETE", "FAIL"], BeforeValidator(_upper)]
    values: list[float] | None = Field(None, max_length=1000)


class UserAttributes(Answer):
    user_attrs: dict[str, Scalar] = Field(min_length=1, max_length=1000)


class Note(Answer):
    version: int = Field(ge=1, lt=2**31)
    body: str


@router.delete("/studies/{study_id:int}")
def delete_study(registry: RegistryDependency, study_id: Id) -> Done:
    dashboard_changes.delete_study(registry, study_id)
    return DONE


@router.post("/trials/{trial_id:int}/tell")
def tell(registry: RegistryDependency, trial_id: Id, told: Tell) -> Done:
    dashboard_changes.tell(registry, trial_id, TrialState[told.state], told.values)
    return DONE


@router.post("/trials/{trial_id:int}/user-attrs")
def set_user_attrs(registry: RegistryDependency, trial_id: Id, given: UserAttributes) -> Done:
    dashboard_changes.set_user_attrs(registry, trial_id, given.user_attrs)
    return DONE


@router.put("/studies/{study_id:int}/note")
def save_study_note(registry: RegistryDependency, study_id: Id, note: Note) -> Response:
    return _saved(dashboard_changes.save_note(registry, study_id, None, note.version, note.body))


@router.put("/studies/{study_id:int}/{trial_id:int}/note")
def save_trial_note(registry: RegistryDependency, study_id: Id, trial_id: Id, note: Note) -> Response:
    return _saved(dashboard_changes.save_note(registry, study_id, trial_id, note.version, note.body))


def _saved(newer: dict[str, Any] | None) -> Response:
    """Done; or, when the note was changed meanwhile, that one, for the dashboard to show."""
    if newer is None:
        return JSONResponse(DONE)
    detail = "the note was changed meanwhile: copy your text and load the page again"
    return problem(409, "conflict", detail, more={"reason": detail, "note": newer})
