"""Route of the diagnosis of a study's learning curves."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.diagnosis.diagnose import diagnose_study
from service.schemas.diagnosis import Diagnosis
from service.web.dependencies import StudyDependency

router = APIRouter(prefix="/v1", tags=["studies"])

MAX_DIAGNOSED = 10_000
Limit = Annotated[
    int, Query(ge=1, le=MAX_DIAGNOSED, description="Maximum number of trials, the newest ones.", examples=[1000])
]


@router.get(
    "/studies/{name}/diagnosis",
    name="get",
    response_description="A verdict on each trial, and advice on what to change.",
)
def get_diagnosis(live: StudyDependency, limit: Limit = 1000) -> Diagnosis:
    """Diagnose the trials of a study.

    The train and validation curves of each trial show whether it overfit, underfit or diverged. The advice says what to
    change next.
    """
    return diagnose_study(live, limit)
