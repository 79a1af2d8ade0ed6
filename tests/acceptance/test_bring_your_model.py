"""The code in docs/bring-your-model.md does what it says, with a real service and a real worker."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.schemas import yaml_text as yaml_loader
from service.schemas.study.definition import Definition
from tests.acceptance.user_code_service import UserCodeService, open_service
from tests.conftest import ROOT, clean_environment

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "bring-your-model.md").read_text()
FILES = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, flags=re.DOTALL)
(DEFINITION,) = (
    Definition.model_validate(yaml_loader.load(text))
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
)
NAME = DEFINITION.name


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCodeService]:
    folder = tmp_path_factory.mktemp("page")
    for name, text in FILES:
        path: Path = folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with open_service(folder) as service:
        service.client.create_study(DEFINITION.model_dump(mode="json", exclude_unset=True))
        with service.worker("--allow", "nets", "--processes", "2", code=folder / "code"):
            yield service


def test_the_study_of_the_page_finishes(service: UserCodeService) -> None:
    trials = service.finished(NAME)

    assert [trial.state for trial in trials] == ["COMPLETE"] * DEFINITION.n_trials, [one.reason for one in trials]
    best = service.client.best(NAME, 1)[0]
    assert best.metrics["validation_accuracy"] > 0.5  # by chance 0.1
    assert best.user_attrs["lanes"] == "one at a time"
    assert {"model.arguments.width", "model.dropout"} < set(best.params)


def test_the_final_evaluation_of_the_page_reads_the_test_part(service: UserCodeService) -> None:
    service.finished(NAME)
    final = service.tested(NAME)
    assert final.test_said is not None, final.failure
    assert final.test_said.n_images == 397


def test_the_model_of_the_page_is_loaded_by_its_function(service: UserCodeService) -> None:
    service.finished(NAME)
    best = service.client.best(NAME, 1)[0]
    path = service.folder / "best.safetensors"
    service.client.download_artifact(NAME, best.number, "model", path)
    arguments = {"depth": 2, "width": best.params["model.arguments.width"]}
    script = f"from nets.load import load; print(load({str(path)!r}, {arguments!r}))"
    environment = clean_environment(PYTHONPATH=f"{service.folder / 'code'}:{ROOT}")
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert str(best.metrics["validation_accuracy"]) in shown.stdout
    assert "Dropout" in shown.stdout
