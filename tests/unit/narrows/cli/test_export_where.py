from pathlib import Path

import pytest

from narrows.cli.main import run
from tests.unit.narrows.cli.stand_in import StandIn


def test_export_writes_what_matches(service: StandIn, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "trials.csv"
    service.answers["GET /v1/studies/digits/export?format=csv&where=dropout+%3C+0.3"] = (200, b"number\n3\n")
    assert run(["export", "digits", "--where", "dropout < 0.3", "--out", str(out)]) == 0
    assert out.read_text() == "number\n3\n"
    assert capsys.readouterr().out == f"The chosen trials of digits are in {out}\n"


def test_a_filter_does_not_go_with_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "digits", "--where", "dropout < 0.3", "--to", "sqlite:///x.db"]) == 2
    assert "--where" in capsys.readouterr().err
