"""The code in docs/bring-your-objective.md does what it says, with a real service and a real worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schemas.study.definition import Definition
from tests.acceptance.pages import definitions_of, files_of, page
from tests.acceptance.user_code_service import UserCodeService, open_service

pytestmark = pytest.mark.slow

PAGE = page("bring-your-objective.md")
FILES = files_of(PAGE)
DEFINITIONS = definitions_of(PAGE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    folder = tmp_path_factory.mktemp("page")
    code = folder / "code"
    for name, text in FILES:
        path: Path = code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with open_service(folder) as service:
        for definition in DEFINITIONS:
            service.client.create_study(definition.model_dump(mode="json", exclude_unset=True))
        with service.worker("--allow", "tuning", "--processes", "2", code=code):
            yield service


def test_the_page_has_its_code_in_files() -> None:
    assert len(FILES) == PAGE.count("```python") == len(DEFINITIONS) == 3


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_every_study_of_the_page_finishes(service: UserCodeService, definition: Definition) -> None:
    trials = service.finished(definition.name)

    assert len(trials) == definition.n_trials
    assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]
    assert service.client.study(definition.name).best is not None


def test_the_train_function_keeps_its_model_and_its_curves(service: UserCodeService) -> None:
    service.finished("own-digits")
    best = service.client.best("own-digits", 1)[0]
    assert service.client.curves("own-digits", best.number).steps == list(range(8))
    assert "model" in [artifact.name for artifact in service.client.artifacts("own-digits", best.number)]
