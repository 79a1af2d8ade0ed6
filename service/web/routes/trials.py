"""Trials of a study: list, read, enqueue."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from optuna.trial import TrialState as OptunaState

from service.results.paging import page, trial_key
from service.results.view import curves, find_trial, trial_views
from service.schemas.results import Curves, NewTrial, Trial, TrialList, TrialState
from service.study import changes as study_changes
from service.web.dependencies import RegistryDependency, StudyDependency, TrialNumber
from service.web.routes.studies import CursorQuery, Limit

router = APIRouter(prefix="/v1", tags=["trials"])

Order = Literal[
    "number", "-number", "value", "-value", "started_at", "-started_at", "duration_seconds", "-duration_seconds"
]
OrderQuery = Annotated[
    Order, Query(description="What to sort by; - for largest first; value is the first objective.", examples=["-value"])
]
StateQuery = Annotated[TrialState | None, Query(description="Only trials in this state.", examples=["COMPLETE"])]


@router.get("/studies/{name}/trials")
def list_trials(
    live: StudyDependency,
    registry: RegistryDependency,
    state: StateQuery = None,
    order_by: OrderQuery = "number",
    limit: Limit = 100,
    cursor: CursorQuery = None,
) -> TrialList:
    """The trials of a study."""
    states = None if state is None else (OptunaState[state],)
    trials = live.study.get_trials(deepcopy=False, states=states)
    entries, following = page(trials, trial_key(order_by), limit, cursor)
    return TrialList(trials=trial_views(registry.store, live, entries), next_cursor=following)


@router.post("/studies/{name}/trials", status_code=201)
def enqueue(live: StudyDependency, registry: RegistryDependency, new: NewTrial) -> Trial:
    """Add a configuration to try next; it counts towards n_trials."""
    number = study_changes.enqueue(live, new.params)
    return trial_views(registry.store, live, [find_trial(live, number)])[0]


@router.get("/studies/{name}/trials/{number}")
def get(live: StudyDependency, registry: RegistryDependency, number: TrialNumber) -> Trial:
    """One trial, whole."""
    return trial_views(registry.store, live, [find_trial(live, number)])[0]


@router.get("/studies/{name}/trials/{number}/curves")
def get_curves(live: StudyDependency, registry: RegistryDependency, number: TrialNumber) -> Curves:
    """What a trial reported, epoch by epoch."""
    return curves(registry.store, live, find_trial(live, number))
