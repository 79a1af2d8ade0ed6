"""The programs in docs/bring-your-command.md do what it says, with a real service and a real worker."""

from collections.abc import Iterator

import pytest

from service.schemas.study.definition import Definition
from tests.acceptance.pages import definitions_of, files_of, page
from tests.acceptance.user_code_service import UserCodeService, open_service

pytestmark = pytest.mark.slow

PAGE = page("bring-your-command.md")
FILES = files_of(PAGE, "python|sh")
DEFINITIONS = definitions_of(PAGE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    folder = tmp_path_factory.mktemp("page")
    code = folder / "code"
    code.mkdir()
    for name, text in FILES:
        (code / name).write_text(text)
    with open_service(folder) as service:
        for definition in DEFINITIONS:
            service.client.create_study(definition.model_dump(mode="json", exclude_unset=True))
        allowed = ("python train.py", "sh train.sh", "python reports.py")
        flags = [flag for words in allowed for flag in ("--allow-command", words)]
        with service.worker(*flags, "--processes", "2", code=code):
            yield service


def test_the_page_has_its_programs_in_files() -> None:
    assert len(FILES) == len(DEFINITIONS) == 3


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_every_study_of_the_page_finishes(service: UserCodeService, definition: Definition) -> None:
    trials = service.finished(definition.name)

    assert len(trials) == definition.n_trials
    assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]
    assert service.client.study(definition.name).best is not None


def test_the_script_reports_each_epoch_with_both_metrics(service: UserCodeService) -> None:
    service.finished("script")
    curves = service.client.curves("script", service.client.best("script", 1)[0].number)
    assert curves.steps == list(range(8))
    assert set(curves.metrics) == {"validation_accuracy", "train_accuracy"}
    assert "Epoch 0: train_acc=" in service.output("script")
