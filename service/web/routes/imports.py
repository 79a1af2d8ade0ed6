"""Routes of imports: trials from elsewhere that a study's sampler learns from."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from service.imports.import_trials import import_trials
from service.imports.view import find_import, import_list
from service.schemas.imports import Import, ImportList, ImportWithTrials, NewImport
from service.web.dependencies import CallerName, ChangedStudyDependency, StudyDependency
from service.web.parsed_body import ParsedBodyRoute

router = APIRouter(prefix="/v1", tags=["studies"], route_class=ParsedBodyRoute)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Import, "description": "The same trials were imported before; with check, they may be imported."}
}
CheckQuery = Annotated[bool, Query(description="Whether to import nothing.", examples=[True])]
ImportNumber = Annotated[int, Path(ge=0, lt=2**31, description="Number of the import, from 0.", examples=[0])]


@router.post(
    "/studies/{name}/imports",
    status_code=201,
    name="bring",
    response_description="The trials were imported.",
    responses=ANSWERS,
)
def create_import(
    live: ChangedStudyDependency,
    response: Response,
    caller: CallerName,
    new_import: NewImport,
    check: CheckQuery = False,
) -> Import:
    """Import trials for the sampler to learn from.

    All trials that fit the search space are imported; if one breaks a rule, nothing is imported (422). Imported trials
    count towards nothing and cannot be the best trial. The call may be repeated: the same trials again answer 200 and
    are not imported twice. The study of a final evaluation takes none (409 `state_conflict`). With check=true all
    refusals are the same, and otherwise the answer is 200 and nothing is imported.
    """
    answer, new = import_trials(live, new_import, caller, check=check)
    response.status_code = 201 if new else 200
    return answer


@router.get("/studies/{name}/imports", name="imports", response_description="The imports, without their trials.")
def list_imports(live: StudyDependency) -> ImportList:
    """List the imports of a study.

    The sampler learns from their trials in addition to the study's own.
    """
    return import_list(live)


@router.get("/studies/{name}/imports/{number}", name="get", response_description="The import with its trials.")
def get_import(live: StudyDependency, number: ImportNumber) -> ImportWithTrials:
    """Read an import with its trials.

    A number without an import answers 404 `import_not_found`.
    """
    return find_import(live, number)
