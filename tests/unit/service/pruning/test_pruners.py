from typing import Any

import optuna
import pytest
from pydantic import TypeAdapter

from service.pruning.pruners import CLASSES, build_pruner
from service.schemas.study.pruners import Pruner

PRUNER: TypeAdapter[Any] = TypeAdapter(Pruner)


@pytest.mark.parametrize("name", CLASSES)
def test_each_name_is_optunas_class(name: str) -> None:
    options = {"lower": 0.1} if name == "threshold" else {}

    assert type(build_pruner(PRUNER.validate_python({"name": name, **options}))) is CLASSES[name]


def test_options_reach_optuna() -> None:
    pruner = build_pruner(PRUNER.validate_python({"name": "median", "n_startup_trials": 7, "n_warmup_steps": 3}))

    assert isinstance(pruner, optuna.pruners.MedianPruner)
    assert (pruner._n_startup_trials, pruner._n_warmup_steps) == (7, 3)


def test_a_patient_pruner_wraps_another() -> None:
    pruner = build_pruner(PRUNER.validate_python({"name": "patient", "wrapped_pruner": "hyperband", "patience": 2}))

    assert isinstance(pruner, optuna.pruners.PatientPruner)
    assert isinstance(pruner._wrapped_pruner, optuna.pruners.HyperbandPruner)
