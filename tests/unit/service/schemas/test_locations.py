from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from service.schemas.fields import Identifier, StrictBody, StudyName
from service.schemas.locations import MAX_FIELD_CHARACTERS, field_of, first_error, short
from service.schemas.study.entrypoints import Entrypoint


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


class Part(StrictBody):
    n: int = Field(ge=1)
    items: list[float] = Field([], max_length=2)


class Kind(StrictBody):
    name: Literal["a", "b"]


class Other(StrictBody):
    name: Literal["c"]


class Whole(StrictBody):
    name: StudyName = "s"
    entrypoint: Entrypoint = "a:b"
    note: Identifier = ""
    part: Part | None = None
    flag: bool = False
    kind: Annotated[Kind | Other, Field(discriminator="name")] = Other(name="c")
    keys: dict[Annotated[str, Field(min_length=2)], int] = Field({})

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.flag:
            raise ValueError(f"flag must be false for {self.name}")
        return self


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"extra": 1}, "extra: extra is an unknown field"),
        ({"part": {}}, "part.n: n is required"),
        ({"part": {"n": 0}}, "part.n: n must be greater than or equal to 1: 0"),
        ({"part": {"n": 1.5}}, "part.n: n must be a whole number: 1.5"),
        ({"part": [1, 2]}, "part: part must be an object: a list"),
        ({"part": {"n": 1, "items": {}}}, "part.items: items must be a list: an object"),
        ({"part": {"n": 1, "items": [1.0, "x"]}}, "part.items.1: items.1 must be a number: 'x'"),
        ({"part": {"n": 1, "items": [1, 2, 3]}}, "part.items: items must have at most 2 items: it has 3"),
        ({"flag": None}, "flag: flag must be true or false: null"),
        ({"flag": True}, "body: flag must be false for s"),
        ({"note": "\0"}, "note: note must not contain the character NUL"),
        ({"kind": {}}, "kind: kind must have the field name"),
        ({"kind": {"name": "d"}}, "kind: name must be 'a', 'b' or 'c': 'd'"),
        ({"keys": {"x": 1}}, "keys.x: its name must have at least 2 characters: 'x'"),
        (
            {"name": "a b"},
            "name: name must begin with a letter or digit "
            "and hold at most 128 letters, digits, '.', '_' and '-': 'a b'",
        ),
        (
            {"entrypoint": "a"},
            "entrypoint: entrypoint must be package.module:function, in letters, digits and '_': 'a'",
        ),
        (3, "body: body must be an object: 3"),
    ],
)
def test_an_error_says_the_field_the_rule_and_the_value(value: Any, error: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Whole.model_validate(value)

    assert first_error(raised.value) == error


@pytest.mark.parametrize("value", ["x" * 10_000, 10**400, "\0" * 1000, "\ud800" * 1000])
def test_a_long_value_is_cut(value: Any) -> None:
    assert len(short(value)) <= 81
    short(value).encode()
