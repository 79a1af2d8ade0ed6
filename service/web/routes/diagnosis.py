"""How the trials of a study learn."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.diagnosis.diagnose import diagnose
from service.schemas.diagnosis import Diagnosis
from service.web.dependencies import RegistryDependency, StudyDependency

router = APIRouter(prefix="/v1", tags=["studies"])

MAX_TRIALS = 10_000
Limit = Annotated[
    int, Query(ge=1, le=MAX_TRIALS, description="Most trials to look at, the newest ones.", examples=[1000])
]


@router.get("/studies/{name}/diagnosis")
def get(live: StudyDependency, registry: RegistryDependency, limit: Limit = 1000) -> Diagnosis:
    """Which trials overfit, underfit or diverged, by their train and validation curves, and what to change next."""
    return diagnose(registry.store, live, limit)
