"""What docs/from-wandb-sweeps.md shows is what comes out, and its studies are trained by a real service and worker."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.user_code_service import OPERATOR, UserCodeService, open_service
from tests.commands import run
from tests.conftest import ROOT, clean_environment

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "from-wandb-sweeps.md").read_text()
FILES = re.findall(r"```(?:python|yaml)\n# (\S+\.(?:py|yaml))\n(.*?)```", PAGE, flags=re.DOTALL)
DEFINITIONS = re.findall(r"```yaml\n(# From (\S+)\n.*?)```", PAGE, flags=re.DOTALL)
(PRINTED,) = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)
CONVERTED = [
    shlex.split(line, comments=True)[1:] for line in PAGE.splitlines() if re.match(r"narrows convert .* --to", line)
]
STUDIES = {"digits-sweep": 6, "digits-function": 6, "tune_digits": 4, "printed": 2}


def narrows(folder: Path, *arguments: str, server: str = "") -> str:
    environment = clean_environment(NARROWS_TOKEN=OPERATOR, NARROWS_SERVER=server or "http://127.0.0.1:1")
    done = run(*arguments, environment=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, text in FILES:
        (folder / name).write_text(text)
    script = (folder / "train.py").read_text()
    (folder / "printing.py").write_text(re.sub(r"from narrows import report.*|    if report.*\n.*break", "", script))
    return folder


@pytest.fixture(scope="module")
def definitions(folder: Path) -> list[str]:
    """The definitions that the page's commands write, and one for the script that only prints its metric."""
    (folder / "printed-sweep.yaml").write_text((folder / "sweep.yaml").read_text().replace("train.py", "printing.py"))
    printed = ["convert", "printed-sweep.yaml", "--name", "printed", "--n-trials", "2", "--to", "printed.yaml"]
    commands = [
        *CONVERTED,
        ["convert", "tune_digits.py", "--to", "tuned.yaml"],
        printed,
    ]
    for command in commands:
        narrows(folder, *command)
    path = folder / "printed.yaml"
    path.write_text(path.read_text().replace("training:\n", f"training:\n{PRINTED}"))
    return ["digits.yaml", "function.yaml", "tuned.yaml", "printed.yaml"]


@pytest.fixture(scope="module")
def service(folder: Path, definitions: list[str]) -> Iterator[UserCodeService]:
    with open_service(folder) as service:
        for definition in definitions:
            narrows(folder, "submit", definition, server=service.url)
        commands = ("--allow-command", "python train.py", "--allow-command", "python printing.py")
        with service.worker("--allow", "training", *commands, "--processes", "2", code=folder):
            yield service


def test_every_block_of_the_page_is_looked_at() -> None:
    assert [name for name, _ in FILES] == ["sweep.yaml", "train.py", "training.py", "tune_digits.py"]
    assert PAGE.count("```yaml") + PAGE.count("```python") == len(FILES) + len(DEFINITIONS) == 6
    assert [command[1] for command in CONVERTED] == ["sweep.yaml", "sweep.yaml"]


@pytest.mark.parametrize(("definition", "origin"), DEFINITIONS, ids=[origin for _, origin in DEFINITIONS])
def test_the_page_shows_what_comes_out(folder: Path, definition: str, origin: str) -> None:
    assert narrows(folder, "convert", origin) == definition


@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_are_trained(service: UserCodeService, name: str) -> None:
    trials = service.finished(name)
    assert len(trials) == STUDIES[name]
    assert {trial.state for trial in trials} <= {"COMPLETE", "PRUNED"}, [trial.reason for trial in trials]


def test_a_printed_metric_is_reported_at_each_step(service: UserCodeService) -> None:
    service.finished("printed")
    best = service.client.best("printed", 1)[0]
    assert service.client.curves("printed", best.number).steps == list(range(5))
    assert "report" not in (service.folder / "printing.py").read_text()


def test_a_refusal_names_the_file_and_each_field(folder: Path) -> None:
    path = folder / "bad.yaml"
    path.write_text("method: bayes\nrun_cap: 3\nparameters: {x: {distribution: normal}, y: {min: 1}}")
    refused = run("convert", "bad.yaml", "--to", "out.yaml", environment=clean_environment(), cwd=folder)
    assert refused.returncode == 1
    fields = [line.split(": ")[:3] for line in refused.stderr.splitlines()]
    assert fields == [
        ["narrows", "bad.yaml", "metric.name"],
        ["narrows", "bad.yaml", "parameters.x"],
        ["narrows", "bad.yaml", "parameters.y.max"],
    ]
    assert not (folder / "out.yaml").exists()
