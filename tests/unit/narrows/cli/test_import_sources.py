"""Which kind of file an import is given."""

from pathlib import Path

import optuna
import pytest

from narrows.cli.import_sources import is_csv, read_source
from narrows.errors import CommandError
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

DEFINITION = Definition.model_validate(definition())


def test_a_file_that_is_a_database_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    old = optuna.create_study(storage="sqlite:///old.db", study_name="old", direction="maximize")
    old.optimize(lambda trial: trial.suggest_float("learning_rate", 1e-5, 0.1, log=True), n_trials=2)
    found = read_source("old.db", None, DEFINITION)
    assert found.source == "study old of Optuna"
    assert len(found.trials) == 2


def test_a_study_of_a_database_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        optuna.create_study(storage="sqlite:///old.db", study_name=name, direction="maximize")
    assert not is_csv("old.db")
    assert read_source("old.db", "second", DEFINITION).source == "study second of Optuna"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_the_encoding_of_a_csv_file_is_a_rule(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "old.csv"
    path.write_text("learning_rate,café,value\n", encoding=encoding)
    with pytest.raises(CommandError, match=r"old\.csv: a CSV file must be UTF-8: "):
        read_source(str(path), None, DEFINITION)


def test_line_ends_in_cells_of_a_csv_file_are_kept(tmp_path: Path) -> None:
    choices = ["one\rtwo", "one\r\ntwo", "one\ntwo"]
    space = {"separator": {"type": "categorical", "choices": choices}}
    path = tmp_path / "old.csv"
    path.write_bytes("".join(["separator,value\r\n", *(f'"{choice}",0.5\r\n' for choice in choices)]).encode())
    objective = {"metric": "loss", "direction": "minimize"}
    wanted = definition(search_space=space, objectives=[objective], training={"entrypoint": "mine.train:f"})
    found = read_source(str(path), None, Definition.model_validate(wanted))
    assert [trial["params"]["separator"] for trial in found.trials] == choices
