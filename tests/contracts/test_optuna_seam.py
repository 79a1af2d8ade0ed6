"""Each private part of Optuna that `storage/optuna_seam/` uses is there and behaves as we rely on it.

A new version of Optuna that changes one of them fails here first.
"""

import ast
import importlib
import math
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import create_trial
from sqlalchemy import text

from storage.optuna_seam import tables
from storage.optuna_seam.dashboard_notes import save_dashboard_note
from storage.optuna_seam.objects import (
    CONSTRAINT_ATTR_PREFIX,
    DEFAULT_STUDY_NAME_PREFIX,
    FIXED_PARAMS_ATTR,
    METRIC_NAMES_ATTR,
    RUNG_ATTR_PREFIX,
    FrozenStudy,
    bracket_of_trial,
    count_brackets,
    set_trial_id,
    storage_of,
    study_id_of,
    trial_id_of,
)
from tests.conftest import ROOT

SCHEMA_VERSION = "v3.2.0.a"
"""The newest migration of Optuna's tables that our statements were written for."""

KNOWN_COLUMNS = {
    "studies": {"study_id", "study_name"},
    "study_directions": {"study_direction_id", "direction", "study_id", "objective"},
    "study_user_attributes": {"study_user_attribute_id", "study_id", "key", "value_json"},
    "study_system_attributes": {"study_system_attribute_id", "study_id", "key", "value_json"},
    "trials": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
    "trial_params": {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
    "trial_values": {"trial_value_id", "trial_id", "objective", "value", "value_type"},
    "trial_intermediate_values": {
        "trial_intermediate_value_id",
        "trial_id",
        "step",
        "intermediate_value",
        "intermediate_value_type",
    },
    "trial_user_attributes": {"trial_user_attribute_id", "trial_id", "key", "value_json"},
    "trial_system_attributes": {"trial_system_attribute_id", "trial_id", "key", "value_json"},
}

NOT_OPTUNAS = {"_mapping", "_asdict", "_transport", "_is_new"}
"""Private names that product code uses of SQLAlchemy's rows, and of its own client."""


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(storage=InMemoryStorage(), study_name="seam")


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[RDBStorage]:
    storage = RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def test_ids_and_storage_are_those_of_optuna(study: optuna.Study) -> None:
    storage = storage_of(study)
    assert isinstance(storage, InMemoryStorage)
    assert study_id_of(study) == storage.get_study_id_from_name("seam")
    assert study_id_of(storage.get_all_studies()[0]) == study_id_of(study)
    asked = study.ask()
    assert trial_id_of(asked) == storage.get_trial_id_from_study_id_trial_number(study_id_of(study), asked.number)
    frozen = storage.get_trial(trial_id_of(asked))
    assert trial_id_of(frozen) == trial_id_of(asked)
    set_trial_id(frozen, 12345)
    assert trial_id_of(frozen) == 12345


def test_a_study_of_a_subclass_keeps_the_storage_it_was_given(study: optuna.Study) -> None:
    class Child(optuna.Study):
        pass

    assert storage_of(Child("seam", storage_of(study))) is storage_of(study)


def test_a_frozen_study_is_made_by_our_arguments() -> None:
    made = FrozenStudy(
        study_name="made",
        direction=None,
        directions=[StudyDirection.MAXIMIZE],
        user_attrs={"a": 1},
        system_attrs={"b": 2},
        study_id=7,
    )
    assert (made.study_name, made.directions, made.user_attrs, made.system_attrs, study_id_of(made)) == (
        "made",
        [StudyDirection.MAXIMIZE],
        {"a": 1},
        {"b": 2},
        7,
    )


def test_an_unnamed_study_begins_with_optunas_prefix() -> None:
    assert optuna.create_study().study_name.startswith(DEFAULT_STUDY_NAME_PREFIX)


def test_metric_names_are_in_the_study_attribute(study: optuna.Study) -> None:
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["accuracy"])
    assert storage_of(study).get_study_system_attrs(study_id_of(study)) == {METRIC_NAMES_ATTR: ["accuracy"]}


def test_an_enqueued_trial_has_its_parameters_in_the_attribute(study: optuna.Study) -> None:
    study.enqueue_trial({"x": 0.5})
    assert study.trials[0].system_attrs[FIXED_PARAMS_ATTR] == {"x": 0.5}
    assert study.ask({"x": FloatDistribution(0, 1)}).params == {"x": 0.5}


def test_successive_halving_notes_a_rung_in_the_attribute() -> None:
    study = optuna.create_study(pruner=SuccessiveHalvingPruner(min_resource=1, reduction_factor=2))
    trial = study.ask()
    for step in range(4):
        trial.report(0.25 * step, step)
        trial.should_prune()
    assert study.trials[0].system_attrs == {f"{RUNG_ATTR_PREFIX}0": 0.25, f"{RUNG_ATTR_PREFIX}1": 0.5}


def test_a_constraint_is_an_attribute() -> None:
    trial = create_trial(value=1.0, system_attrs={f"{CONSTRAINT_ATTR_PREFIX}size": -1.0, "other": 2.0})
    assert trial.constraints == {"size": -1.0}
    set_by_optuna = create_trial(value=1.0, constraints={"size": -1.0})
    assert set_by_optuna.system_attrs == {f"{CONSTRAINT_ATTR_PREFIX}size": -1.0}


def test_hyperband_tells_its_brackets() -> None:
    pruner = HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3)
    study = optuna.create_study(study_name="brackets", pruner=pruner)
    assert count_brackets(pruner, study) == 3
    asked = [study.ask() for _ in range(30)]
    brackets = [bracket_of_trial(pruner, study, study.trials[trial.number]) for trial in asked]
    assert set(brackets) == {0, 1, 2}
    assert brackets == [bracket_of_trial(pruner, study, study.trials[trial.number]) for trial in asked]


def test_hyperband_has_one_bracket_until_it_knows_its_maximum() -> None:
    pruner = HyperbandPruner()
    assert count_brackets(pruner, optuna.create_study(pruner=pruner)) == 1


def test_optunas_tables_have_the_version_and_the_columns_that_we_know(stock: RDBStorage) -> None:
    assert stock.get_current_version() == stock.get_head_version() == SCHEMA_VERSION
    assert {name: set(known.table.c.keys()) for name, known in tables.OPTUNA_TABLES.items()} == KNOWN_COLUMNS


def test_the_tables_below_studies_and_trials_are_those_that_we_know() -> None:
    assert set(tables.STUDY_CHILD_TABLES) == {
        "trials",
        "study_directions",
        "study_user_attributes",
        "study_system_attributes",
    }
    assert set(tables.TRIAL_CHILD_TABLES) == {
        "trial_params",
        "trial_values",
        "trial_intermediate_values",
        "trial_user_attributes",
        "trial_system_attributes",
        "trial_heartbeats",
    }


def test_every_statement_runs_on_optunas_tables(stock: RDBStorage) -> None:
    study = optuna.create_study(storage=stock, study_name="read", directions=["maximize"])
    study.set_user_attr("owner", "us")
    stock.set_study_system_attr(study_id_of(study), "noted", 1)
    trial = study.ask({"x": FloatDistribution(0, 1)})
    trial.report(0.5, 3)
    trial.set_user_attr("note", "n")
    stock.set_trial_system_attr(trial_id_of(trial), "mark", 2)
    study.tell(trial, 0.75)
    with stock.engine.connect() as connection:
        rows = {
            name: [tuple(row) for row in connection.execute(text(statement))]
            for name, statement in vars(tables).items()
            if name.startswith("SELECT_")
        }
    study_id, trial_id = study_id_of(study), trial_id_of(trial)
    assert rows["SELECT_STUDIES"] == [(study_id, "read")]
    assert rows["SELECT_DIRECTIONS"] == [(study_id, "MAXIMIZE")]
    assert rows["SELECT_STUDY_USER_ATTRS"] == [(study_id, "owner", '"us"')]
    assert rows["SELECT_STUDY_SYSTEM_ATTRS"] == [(study_id, "noted", "1")]
    assert [row[:3] for row in rows["SELECT_TRIALS"]] == [(trial_id, study_id, "COMPLETE")]
    assert [row[:3] for row in rows["SELECT_PARAMS"]] == [(trial_id, "x", trial.params["x"])]
    assert rows["SELECT_VALUES"] == [(trial_id, 0.75, tables.FINITE)]
    assert rows["SELECT_INTERMEDIATE_VALUES"] == [(trial_id, 3, 0.5, tables.FINITE)]
    assert rows["SELECT_TRIAL_USER_ATTRS"] == [(trial_id, "note", '"n"')]
    assert rows["SELECT_TRIAL_SYSTEM_ATTRS"] == [(trial_id, "mark", "2")]
    assert len(rows) == 10


@pytest.mark.parametrize("value", [0.5, math.inf, -math.inf])
def test_an_objective_value_is_stored_and_read(value: float) -> None:
    stored, kind = tables.encode_value(value)
    assert tables.decode_value(stored, kind) == value
    assert (kind == tables.FINITE) == math.isfinite(value)


@pytest.mark.parametrize("value", [0.5, math.inf, -math.inf, math.nan])
def test_an_intermediate_value_is_stored_and_read(value: float) -> None:
    stored, kind = tables.encode_intermediate_value(value)
    assert repr(tables.decode_intermediate_value(stored, kind)) == repr(value)
    assert (kind == tables.FINITE) == math.isfinite(value)


@pytest.mark.parametrize("of_trial", [False, True])
def test_a_note_is_what_the_dashboards_own_functions_read(study: optuna.Study, of_trial: bool) -> None:
    import optuna_dashboard

    trial = study.ask()
    trial_id = trial_id_of(trial) if of_trial else None
    storage, study_id = storage_of(study), study_id_of(study)
    assert save_dashboard_note(storage, study_id, trial_id, 1, "first") is None
    assert save_dashboard_note(storage, study_id, trial_id, 1, "too late") == {"version": 1, "body": "first"}
    assert save_dashboard_note(storage, study_id, trial_id, 2, "second") is None
    assert optuna_dashboard.get_note(trial if of_trial else study) == "second"


def product_modules() -> list[Path]:
    files = [path for part in ("narrows", "service", "storage", "workers") for path in (ROOT / part).rglob("*.py")]
    return [path for path in files if not path.is_relative_to(ROOT / "storage" / "optuna_seam")]


def private_uses(path: Path) -> Iterator[str]:
    """Private names of Optuna and its dashboard: imports, attributes of anything but `self`, and overrides."""
    tree = ast.parse(path.read_text())
    yield from overrides(path, tree)
    for node in ast.walk(tree):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("optuna", "optuna_dashboard"):
            words = [*(node.module or "").split("."), *(name.name for name in node.names)]
            yield from (f"{where} imports {word}" for word in words if word.startswith("_"))
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names if name.name.startswith("optuna")]
            yield from (f"{where} imports {name}" for name in names if "._" in name)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "cls") and node.attr not in NOT_OPTUNAS:
                yield f"{where} uses {node.attr}"


def overrides(path: Path, tree: ast.Module) -> Iterator[str]:
    """Private names of Optuna's classes that classes derived from them define or use."""
    imported = {
        name.asname or name.name: getattr(importlib.import_module(node.module), name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "optuna"
        for name in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        bases = [imported[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in imported]
        for part in ast.walk(node):
            match part:
                case ast.FunctionDef(name=name, lineno=line) | ast.Attribute(attr=name, lineno=line):
                    if name.startswith("_") and not name.endswith("__") and any(hasattr(base, name) for base in bases):
                        yield f"{path.relative_to(ROOT)}:{line} has {name} of {node.name}"


def test_no_other_product_code_uses_privates_of_optuna() -> None:
    """Workers know nothing of Optuna: the private names there are PyTorch's and Python's."""
    found = [use for path in product_modules() for use in private_uses(path)]
    assert [use for use in found if not use.startswith("workers/") or " imports " in use] == []


def test_the_search_for_privates_finds_overrides_in_the_seam() -> None:
    found = " ".join(private_uses(ROOT / "storage" / "optuna_seam" / "cmaes.py"))
    for name in ("_restore_optimizer", "_attr_key_optimizer", "_concat_optimizer_attrs"):
        assert f"has {name} of SafeCmaEsSampler" in found


def test_the_search_for_privates_finds_them_in_the_seam() -> None:
    found = " ".join(private_uses(ROOT / "storage" / "optuna_seam" / "objects.py"))
    for name in ("_base", "_frozen", "_SYSTEM_ATTR_METRIC_NAMES", "_trial_id", "_get_bracket_id", "_pruners"):
        assert name in found
