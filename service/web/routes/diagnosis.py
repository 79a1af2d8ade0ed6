"""Route of the diagnosis of a study's learning curves."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.diagnosis.diagnose import diagnose_study
from service.results.study_version import version_of
from service.schemas.diagnosis import Diagnosis
from service.web.dependencies import StudyDependency
from service.web.etags import NOT_MODIFIED, IfNoneMatch, tagged, unless_same

router = APIRouter(prefix="/v1", tags=["studies"])

MAX_DIAGNOSED = 10_000
Limit = Annotated[
    int, Query(ge=1, le=MAX_DIAGNOSED, description="Maximum number of trials, the newest ones.", examples=[1000])
]


@router.get(
    "/studies/{name}/diagnosis",
    name="get",
    response_model=Diagnosis,
    response_description="A verdict on each trial, and advice on what to change.",
    responses=NOT_MODIFIED,
)
def get_diagnosis(live: StudyDependency, limit: Limit = 1000, if_none_match: IfNoneMatch = None) -> Response:
    """Diagnose the trials of a study.

    The train and validation curves of each trial show whether it overfit, underfit or diverged. The advice says what to
    change next.
    """
    version = version_of(live)
    same = unless_same(version, if_none_match)
    return same or tagged(diagnose_study(live, limit).model_dump_json().encode(), version)
