from typing import Any

import pytest

from narrows.cli.csv_trials import CsvError, read_csv
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition

SPACE: dict[str, Any] = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 256},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "nesterov": {"type": "categorical", "choices": [True, False]},
    "gradient_clip": {"type": "categorical", "choices": [None, 1.0, 5]},
}
ONE = Definition.model_validate(definition(search_space=SPACE))
TWO = Definition.model_validate(
    definition(
        search_space=SPACE,
        objectives=[
            {"metric": "validation_accuracy", "direction": "maximize"},
            {"metric": "n_parameters", "direction": "minimize"},
        ],
    )
)


def _all(text: str, definition: Definition) -> list[dict[str, Any]]:
    trials, unreadable = read_csv(text, definition)
    assert unreadable == []
    return trials


@pytest.mark.parametrize("value", ["value", "value_validation_accuracy", "validation_accuracy", "values_0"])
@pytest.mark.parametrize("prefix", ["", "params_"])
def test_the_columns_of_exports_of_data_frames_and_of_people_are_known(prefix: str, value: str) -> None:
    text = f"{prefix}learning_rate,{prefix}batch_size,{prefix}optimizer,{value}\n0.01,64,adam,0.9\n1e-3,32.0,sgd,inf\n"
    assert _all(text, ONE) == [
        {
            "state": "COMPLETE",
            "params": {"learning_rate": 0.01, "batch_size": 64, "optimizer": "adam"},
            "values": [0.9],
        },
        {
            "state": "COMPLETE",
            "params": {"learning_rate": 0.001, "batch_size": 32, "optimizer": "sgd"},
            "values": ["inf"],
        },
    ]


def test_empty_lines_before_the_header_and_spaces_after_commas_do_not_matter() -> None:
    (trial,) = _all("\n,,\nvalue, optimizer, batch_size\n 0.5, adam, 64\n", ONE)
    assert trial == {"state": "COMPLETE", "params": {"optimizer": "adam", "batch_size": 64}, "values": [0.5]}


def test_a_name_with_spaces_around_it_is_kept() -> None:
    space = {" a ": {"type": "int", "low": 0, "high": 9}}
    spaced = definition(search_space=space, training={"entrypoint": "mine.train:f"})
    (trial,) = _all("params_ a ,value\n5,0.5\n", Definition.model_validate(spaced))
    assert trial["params"] == {" a ": 5}


@pytest.mark.parametrize("names", ["values_0,values_1", "values_validation_accuracy,value_n_parameters"])
def test_several_objectives_have_a_column_each(names: str) -> None:
    (trial,) = _all(f"batch_size,{names}\n64,0.9,1000\n", TWO)
    assert trial["values"] == [0.9, 1000.0]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("nesterov", "true", True),
        ("nesterov", "False", False),
        ("gradient_clip", "null", None),
        ("gradient_clip", "None", None),
        ("gradient_clip", "1", 1.0),
        ("gradient_clip", "5.0", 5),
        ("optimizer", "lion", "lion"),
    ],
)
def test_a_choice_is_known_as_json_as_text_and_as_python_writes_it(column: str, cell: str, value: Any) -> None:
    (trial,) = _all(f"{column},value\n{cell},0.5\n", ONE)
    assert trial["params"] == {column: value}
    assert type(trial["params"][column]) is type(value)


def test_an_empty_cell_is_no_parameter_and_a_trial_that_is_not_complete_needs_no_value() -> None:
    text = "number,state,params_learning_rate,params_batch_size,value,duration\n0,PRUNED,,16,,x\n1,FAIL,0.1,,,x\n\n"
    assert _all(text, ONE) == [
        {"state": "PRUNED", "params": {"batch_size": 16}},
        {"state": "FAIL", "params": {"learning_rate": 0.1}},
    ]


def test_constraints_have_columns_of_their_own() -> None:
    (trial,) = _all("batch_size,value,constraints_seconds <= 5\n16,0.5,-1.5\n", ONE)
    assert trial["constraints"] == {"seconds <= 5": -1.5}
    assert trial["params"] == {"batch_size": 16}


HEADER = "number,state,step,value_validation_accuracy,params_batch_size,metrics_validation_accuracy"


def test_a_pruned_trial_of_an_export_has_its_last_report() -> None:
    rows = "0,PRUNED,3,,16,0.5\n1,PRUNED,4,,16,nan\n2,PRUNED,5.0,,16,-inf\n3,PRUNED,,,16,\n4,FAIL,1,,16,0.5\n"
    reports = [(one.get("last_step"), one.get("last_value")) for one in _all(f"{HEADER}\n{rows}", ONE)]
    assert reports == [(3, 0.5), (4, "nan"), (5, "-inf"), (None, None), (None, None)]
    (pruned,) = _all(f"{HEADER},value_n_parameters\n0,PRUNED,3,,16,0.5,\n", TWO)
    assert "last_step" not in pruned
    _, unreadable = read_csv(f"{HEADER}\n0,PRUNED,3.5,,16,0.5\n{rows}", ONE)
    assert unreadable == ["line 2, column step: must be a whole number: '3.5'"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a column must have the values of validation_accuracy: value_validation_accuracy or"),
        ("learning_rate,value\n", "a file must have at least one trial"),
        ("learning_rate\n0.1\n", "a column must have the values of validation_accuracy"),
        ("depth,value\n3,0.5\n", "column 'depth' must be a parameter of the search space, a value or state"),
        ("params_depth,value\n3,0.5\n", "column 'params_depth' must be a parameter"),
        ("value;optimizer\n0,5;adam\n", "cells must be separated by commas: the first line has ';'"),
        ("value\toptimizer\n", r"cells must be separated by commas: the first line has '\t'"),
        ("value,value\n1,2\n", "column 'value' must not be listed twice"),
        ("learning_rate,value\n0.1\n", "line 2 must have 2 cells: 1"),
        ("learning_rate,value\nfast,0.5\n", "line 2, column learning_rate: must be a number: 'fast'"),
        ("learning_rate,value\n0.1,\n", "line 2, column value: must be a number: ''"),
        ("learning_rate,value\n0.1,nan\n", "line 2, column value: must be a number: 'nan'"),
        ("batch_size,value\n16.5,0.5\n", "line 2, column batch_size: must be a whole number: '16.5'"),
        ("batch_size,value,state\n16,0.5,DONE\n", "line 2, column state: must be one of WAITING, RUNNING, COMPLETE"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(CsvError) as raised:
        read_csv(text, ONE)
    assert str(raised.value).startswith(message)


def test_rows_that_cannot_be_read_are_left_out_with_their_reason() -> None:
    text = "learning_rate,value\n0.1,0.5\n0.1\nfast,0.5\n0.2,0.6\n0.1,nan\n"
    trials, unreadable = read_csv(text, ONE)
    assert [trial["params"]["learning_rate"] for trial in trials] == [0.1, 0.2]
    assert unreadable == [
        "line 3 must have 2 cells: 1",
        "line 4, column learning_rate: must be a number: 'fast'",
        "line 6, column value: must be a number: 'nan'",
    ]


def test_an_empty_cell_is_null_where_null_is_a_choice_and_the_parameter_exists() -> None:
    depth: dict[str, Any] = {"type": "categorical", "choices": [None, 5, 10]}
    space = {**SPACE, "max_depth": depth, "beta": {**depth, "when": {"optimizer": ["adam"]}}}
    either = Definition.model_validate(
        definition(
            search_space=space,
            training={"entrypoint": "mine.train:f"},
            objectives=[{"metric": "loss", "direction": "minimize"}],
        )
    )
    text = "optimizer,max_depth,beta,value\nadam,,,1\nsgd,5.0,,2\nadam,10,5,3\n"
    assert [trial["params"] for trial in _all(text, either)] == [
        {"optimizer": "adam", "max_depth": None, "beta": None},
        {"optimizer": "sgd", "max_depth": 5},
        {"optimizer": "adam", "max_depth": 10, "beta": 5},
    ]


def test_a_long_cell_is_read_like_any_other() -> None:
    long = "x" * 200_000
    trials, unreadable = read_csv(f"params_optimizer,note,value\nsgd,{long},0.9\n{long},,0.8\n", ONE)
    assert [trial["params"] for trial in trials] == [{"optimizer": "sgd"}, {"optimizer": long}]
    assert unreadable == []


def test_a_missing_column_is_told_with_those_that_there_are() -> None:
    with pytest.raises(CsvError) as error:
        read_csv("optimizer,accuracy\nsgd,0.9\n", ONE)
    assert str(error.value).endswith("the columns are 'optimizer', 'accuracy'")
