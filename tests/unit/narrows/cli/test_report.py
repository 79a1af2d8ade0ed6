import subprocess
import sys
from pathlib import Path

import pytest
from markupsafe import escape

from narrows.cli.main import run
from service.client.text import sentences
from service.schemas.final import Final
from service.schemas.results import Curves, Study, Trial
from tests.unit.narrows.cli.stand_in import StandIn, study_json, trial_json
from tests.unit.narrows.cli.test_diagnose import diagnosis_json
from tests.unit.narrows.cli.test_final import final_json
from tests.unit.narrows.cli.test_narrow import FIRST
from tests.unit.narrows.html_report.studies import exported

Capture = pytest.CaptureFixture[str]


NO_FINAL = {"title": "Not found", "status": 404, "detail": "no final evaluation", "code": "final_not_found"}


def answer_all(service: StandIn) -> None:
    best, curves = [trial_json(0)], {"steps": [0], "metrics": {"validation_accuracy": [0.9]}}
    copy = exported(
        Study.model_validate(study_json(complete=1)),
        [Trial.model_validate(one) for one in best],
        {0: Curves.model_validate(curves)},
    )
    service.answers |= {
        "GET /v1/studies/digits": (200, study_json(complete=1)),
        "GET /v1/studies/digits/export?format=optuna": (200, copy),
        "GET /v1/studies/digits/trials?limit=1000": (200, {"trials": best, "next_cursor": None}),
        "GET /v1/studies/digits/best?k=20": (200, {"trials": best}),
        "GET /v1/studies/digits/trials/0/artifacts": (200, {"artifacts": []}),
        "GET /v1/studies/digits/trials/0/curves": (200, curves),
        "GET /v1/studies/digits/final": (404, NO_FINAL),
        "GET /v1/studies/digits/diagnosis?limit=10000": (200, diagnosis_json()),
        "GET /v1/studies/digits/rounds": (200, {"study": "digits", "rounds": [FIRST]}),
        "GET /v1/studies/digits/importance": (200, {"metric": "validation_accuracy", "importances": {}}),
    }


def test_a_report_is_a_page_in_a_folder(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    answer_all(service)
    folder = tmp_path / "a" / "b"

    assert run(["report", "digits", "--out", str(folder)]) == 0
    assert run(["report", "digits", "--out", str(folder)]) == 0

    assert capsys.readouterr().out == f"The report of digits is in {folder / 'index.html'}\n" * 2
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    assert (folder / "index.html").read_text().startswith("<!DOCTYPE html>")


def test_the_final_evaluation_is_told(service: StandIn, tmp_path: Path) -> None:
    answer_all(service)
    service.answers["GET /v1/studies/digits/final"] = (200, final_json())

    assert run(["report", "digits", "--out", str(tmp_path)]) == 0

    page = (tmp_path / "index.html").read_text()
    assert "Final evaluation" in page
    assert all(str(escape(line)) in page for line in sentences(Final.model_validate(final_json())))


def test_a_study_that_is_not_there_leaves_no_folder(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    assert run(["report", "x", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "narrows: no study of this name: 'x'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_one_line(service: StandIn, capsys: Capture, tmp_path: Path) -> None:
    answer_all(service)
    (tmp_path / "file").write_text("")
    assert run(["report", "digits", "--out", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == f"narrows: {tmp_path / 'file'}: File exists\n"


@pytest.mark.processes
def test_without_plotly_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['plotly'] = None; from narrows.cli.main import run; "
        "sys.exit(run(['report', 'digits', '--out', 'nowhere']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "narrows: a report needs plotly: pip install 'narrows[report]'\n"
