from pathlib import Path

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn

CHECK = "POST /v1/studies?check=true"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text('{"name": "digits"}')  # the stand-in reads JSON, which is YAML too
    return path


@pytest.mark.parametrize(
    ("existing", "replaceable", "told"),
    [
        (None, False, "digits would be created"),
        ("same", False, "digits exists with this definition"),
        ("other", True, "digits exists with another definition: --replace replaces it"),
        ("other", False, "digits exists with another definition: choose another name"),
    ],
)
def test_a_valid_file_says_what_creating_it_would_meet(
    service: StandIn, capsys: pytest.CaptureFixture[str], file: Path, existing: str | None, replaceable: bool, told: str
) -> None:
    answer = {"name": "digits", "n_trials": 30, "existing": existing, "replaceable": replaceable}
    service.answers[CHECK] = (200, answer)
    assert run(["submit", str(file), "--check"]) == 0
    assert capsys.readouterr().out == f"{file} is valid, 30 trials: {told}\n"
    assert service.requests == [(CHECK, {"name": "digits"})]


def test_errors_come_with_their_lines(service: StandIn, capsys: pytest.CaptureFixture[str], file: Path) -> None:
    errors = [{"field": "n_trials", "message": "n_trials must be 1", "line": 3}, {"field": "a", "message": "a is bad"}]
    problem = {"title": "No", "status": 422, "detail": "n_trials: …", "code": "invalid", "errors": errors}
    service.answers[CHECK] = (422, problem)
    assert run(["submit", str(file), "--check"]) == 1
    assert capsys.readouterr().err == "narrows: line 3: n_trials: n_trials must be 1\nnarrows: a: a is bad\n"
