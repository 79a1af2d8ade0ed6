from typing import Any

import pytest

from service.schemas.locations import MAX_FIELD_CHARACTERS, field_of, message_of, short


@pytest.mark.parametrize(
    ("location", "field"),
    [
        ((), "body"),
        (("",), "body"),
        (("name",), "name"),
        (("search_space", "lr", "float", "low"), "search_space.lr.low"),
        (("search_space", "model", "int", "step"), "search_space.model.step"),
        (("search_space", "dropout.0", "categorical", "choices", 3), "search_space.dropout.0.choices.3"),
        (("search_space", "lr"), "search_space.lr"),
        (("search_space", "lr", "[key]"), "search_space.lr"),
        (("training", "model", "mlp", "hidden", 1), "training.model.hidden.1"),
        (("training", "model", "cnn", "blocks", 0, "kernel"), "training.model.blocks.0.kernel"),
        (("training", "dropout", "rates", 0), "training.dropout.0"),
        (("training", "schedule"), "training.schedule"),
        (("pruner", "patient", "wrapped_pruner", "median", "n_min_trials"), "pruner.wrapped_pruner.n_min_trials"),
        (("pruner", "hyperband", "max_resource", "literal['auto']"), "pruner.max_resource"),
        (("sampler", "tpe", "seed"), "sampler.seed"),
        (("enqueue", 0, "lr"), "enqueue.0.lr"),
        (("reports", 0, "metrics", "a", "[key]"), "reports.0.metrics.a"),
    ],
)
def test_a_location_becomes_a_dotted_field(location: tuple[int | str, ...], field: str) -> None:
    assert field_of(location) == field


def test_a_field_is_cut_where_it_gets_long() -> None:
    assert len(field_of(("x" * 10_000,))) == MAX_FIELD_CHARACTERS + 1


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"type": "extra_forbidden", "msg": "Extra inputs are not permitted", "input": 1}, "unknown field"),
        ({"type": "missing", "msg": "Field required", "input": {}}, "Field required"),
        ({"type": "value_error", "msg": "Value error, low must be below", "input": {}}, "low must be below"),
        (
            {"type": "greater_than", "msg": "Input should be greater than 0", "input": -1},
            "Input should be greater than 0: -1",
        ),
        ({"type": "string_type", "msg": "Input should be a string", "input": [1, 2]}, "Input should be a string: list"),
    ],
)
def test_a_message_says_the_rule_and_the_value(item: Any, message: str) -> None:
    assert message_of(item) == message


@pytest.mark.parametrize("value", ["x" * 10_000, 10**400, "\0" * 1000, "\ud800" * 1000])
def test_a_long_value_is_cut(value: Any) -> None:
    assert len(short(value)) <= 81
    short(value).encode()
