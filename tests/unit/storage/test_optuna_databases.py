"""Databases and journals of Optuna that others wrote."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from storage.errors import InvalidDatabaseUrlError
from storage.optuna_databases import read_journal, read_study


def journal(path: Path) -> Path:
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="old", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return path


@pytest.mark.parametrize(
    "line",
    [
        {"op_code": 99, "worker_id": "other"},
        {"op_code": 1, "worker_id": "other"},
        {"worker_id": "other"},
        [1, 2],
        7,
    ],
    ids=["unknown operation", "no study", "no operation", "list", "number"],
)
def test_a_line_of_a_journal_that_optuna_cannot_follow_is_an_error_that_names_the_file(
    tmp_path: Path, line: Any
) -> None:
    path = journal(tmp_path / "journal.log")
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(InvalidDatabaseUrlError, match=rf"^Optuna cannot read the journal {path}: "):
        read_journal(str(path), None)


def test_a_driver_that_no_extra_has_is_named_without_one() -> None:
    with pytest.raises(InvalidDatabaseUrlError, match=r"^the driver for oracle://host/name is not installed$"):
        read_study("oracle://host/name", None)
