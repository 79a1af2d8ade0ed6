"""Studies: make, list, change, delete, and what comes out of them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from service.results import export
from service.results.paging import MAX_LIMIT, page
from service.results.view import (
    best_trials,
    complete_trials,
    importances,
    pareto_trials,
    study_view,
    study_view_if_there,
    trial_views,
)
from service.sampling.constraints import why_none
from service.schemas.results import BestTrials, Importances, Study, StudyChange, StudyList
from service.schemas.study.definition import Definition
from service.study.changes import change_study
from service.web.dependencies import RegistryDependency, StudyDependency

router = APIRouter(prefix="/v1", tags=["studies"])

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most entries of a page.", examples=[100])]
CursorQuery = Annotated[
    str | None, Query(max_length=500, description="next_cursor of the page before.", examples=[None])
]
Best = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many trials.", examples=[5])]
EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All trials; with optuna the study in the first line, and a trial in each other one.",
        "content": {"text/csv": {}, "application/json": {}, "application/x-ndjson": {}},
    }
}
Format = Annotated[
    Literal["csv", "json", "optuna"],
    Query(description="Format of the file; optuna: JSON lines with all that Optuna has of them.", examples=["csv"]),
]
EXPORTS = {
    "csv": (export.as_csv, "csv", "text/csv"),
    "json": (export.as_json, "json", "application/json"),
    "optuna": (export.as_optuna, "jsonl", "application/x-ndjson"),
}


@router.post("/studies", status_code=201, responses={200: {"model": Study, "description": "It was there already."}})
def create(definition: Definition, registry: RegistryDependency, response: Response) -> Study:
    """Create a study. The same definition again answers 200, another one of the same name 409."""
    live, new = registry.create(definition)
    response.status_code = 201 if new else 200
    return study_view(registry.store, live, registry.clock.now(), registry.waits_for(live))


@router.get("/studies")
def list_studies(registry: RegistryDependency, limit: Limit = 100, cursor: CursorQuery = None) -> StudyList:
    """All studies, oldest first."""
    entries, following = page(registry.every(), lambda live: (0.0, live.record.study_id), limit, cursor)
    now = registry.clock.now()
    views = [study_view_if_there(registry.store, live, now, registry.waits_for) for live in entries]
    return StudyList(studies=[view for view in views if view is not None], next_cursor=following)


@router.get("/studies/{name}")
def get(live: StudyDependency, registry: RegistryDependency) -> Study:
    """One study: its definition, state, counts and best trial."""
    live.tick()
    return study_view(registry.store, live, registry.clock.now(), registry.waits_for(live))


@router.patch("/studies/{name}")
def change(live: StudyDependency, registry: RegistryDependency, wanted: StudyChange) -> Study:
    """Pause, resume or stop a study, or extend it to more trials."""
    change_study(live, wanted, registry.store, registry.clock)
    return study_view(registry.store, live, registry.clock.now(), registry.waits_for(live))


@router.delete("/studies/{name}", status_code=204)
def delete(live: StudyDependency, registry: RegistryDependency) -> None:
    """Delete a study with all its trials. Its open leases are lost."""
    registry.delete(live.record.name)


@router.get("/studies/{name}/best")
def best(live: StudyDependency, registry: RegistryDependency, k: Best = 5) -> BestTrials:
    """The best complete trials of a study with one objective, best first, of those that keep their constraints."""
    note = why_none(complete_trials(live))
    return BestTrials(trials=trial_views(registry.store, live, best_trials(live, k)), note=note)


@router.get("/studies/{name}/pareto")
def pareto(live: StudyDependency, registry: RegistryDependency) -> BestTrials:
    """The trials that no other one beats in every objective, by the first objective. Those that violate a constraint
    neither beat nor count."""
    note = why_none(complete_trials(live))
    return BestTrials(trials=trial_views(registry.store, live, pareto_trials(live)), note=note)


@router.get("/studies/{name}/importance")
def importance(live: StudyDependency) -> Importances:
    """How much each parameter matters."""
    return importances(live)


@router.get("/studies/{name}/export", response_class=StreamingResponse, responses=EXPORTED)
def export_trials(live: StudyDependency, registry: RegistryDependency, format: Format = "csv") -> StreamingResponse:
    """All trials as a file, streamed."""
    write, suffix, media_type = EXPORTS[format]
    headers = {"Content-Disposition": f'attachment; filename="{live.record.name}.{suffix}"'}
    return StreamingResponse(write(registry.store, live), media_type=media_type, headers=headers)
