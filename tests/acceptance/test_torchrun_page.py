"""The programs in docs/torchrun.md do what it says, with a real service and a real worker on the CPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schemas.study.definition import Definition
from tests.acceptance.pages import definitions_of, files_of, page
from tests.acceptance.user_code_service import UserCodeService, open_service

pytestmark = pytest.mark.slow

PAGE = page("torchrun.md")
FILES = files_of(PAGE)
DEFINITIONS = definitions_of(PAGE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    folder = tmp_path_factory.mktemp("page")
    code = folder / "code"
    for name, text in FILES:
        path = code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with open_service(folder) as service:
        for definition in DEFINITIONS:
            service.client.create_study(definition.model_dump(mode="json", exclude_unset=True))
        # Below the threshold at its second epoch, whatever it is: no accuracy is above 1.
        threshold = {"name": "threshold", "lower": 1.5, "n_warmup_steps": 1}
        lightning = next(one for one in DEFINITIONS if one.name == "lightning-ddp")
        pruned = {**lightning.model_dump(mode="json", exclude_unset=True), "name": "pruned", "pruner": threshold}
        service.client.create_study(pruned)
        flags = ("--allow", "tuning", "--allow-command", "python train_ddp.py", "--devices-per-trial", "2")
        with service.worker(*flags, "--processes", "1", code=code):
            yield service


def test_the_page_has_its_programs_in_files() -> None:
    assert len(FILES) == len(DEFINITIONS) == 4


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_every_study_of_the_page_finishes(service: UserCodeService, definition: Definition) -> None:
    trials = service.finished(definition.name)

    assert len(trials) == definition.n_trials
    assert {trial.state for trial in trials} == {"COMPLETE"}, [trial.reason for trial in trials]


def test_the_function_reports_and_its_model_is_kept(service: UserCodeService, tmp_path: Path) -> None:
    service.finished("ddp")
    assert service.client.curves("ddp", 0).steps == list(range(5))
    service.client.download_artifact("ddp", service.client.best("ddp", 1)[0].number, "model", tmp_path / "model")
    assert (tmp_path / "model").stat().st_size > 64 * 10 * 4


def test_optunas_callback_for_lightning_prunes_every_rank(service: UserCodeService) -> None:
    (trial,) = service.finished("pruned")
    assert trial.state == "PRUNED", trial.reason
    assert service.client.curves("pruned", 0).steps == [0, 1]


def test_accelerate_divides_the_batches_between_the_ranks(service: UserCodeService) -> None:
    trials = service.finished("accelerate-ddp")
    assert all(trial.values is not None and trial.values[0] > 0.3 for trial in trials)  # chance is 0.1
    assert service.client.curves("accelerate-ddp", 0).metrics["n_validated"] == [397] * 4
