import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidError
from service.results.filters import compile_filter

NAMES = ("number", "state", "params.lr", "params.my name", "lr", "value", "reason", "flag")
Row = Mapping[str, Any]


def column(name: str) -> Callable[[Row], Any] | None:
    return (lambda row: row.get(name)) if name in NAMES else None


def holds(text: str, **row: Any) -> bool:
    return compile_filter(text, column)({name.replace("__", "."): value for name, value in row.items()})


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("lr < 0.3", {"lr": 0.2}, True),
        ("lr<0.3", {"lr": 0.3}, False),
        ("lr <= .3e0 and state = COMPLETE", {"lr": 0.3, "state": "COMPLETE"}, True),
        ("state = complete", {"state": "COMPLETE"}, True),
        ("state in (pruned, 'FAIL')", {"state": "PRUNED"}, True),
        ("state not in (PRUNED, FAIL)", {"state": "PRUNED"}, False),
        ("state not in (PRUNED, FAIL)", {"state": "RUNNING"}, True),
        ("lr != 1", {"lr": 2}, True),
        ("lr <> 1", {"lr": 1}, False),
        ("lr == 1", {"lr": 1}, True),
        ("lr = -1.5e3", {"lr": -1500.0}, True),
        ("lr = ٣.٥e-١", {"lr": 0.35}, True),
        ("lr in (१, २)", {"lr": 2}, True),
        ("lr = 1", {"lr": True}, False),
        ("lr = true", {"lr": True}, True),
        ("lr = true", {"lr": 1}, False),
        ("lr = 'true'", {"lr": True}, False),
        ("lr = 64", {"lr": "64"}, False),
        ("lr != 64", {"lr": "64"}, True),
        ("lr > 64", {"lr": "65"}, False),
        ("lr = '64'", {"lr": "64"}, True),
        ("lr > 0", {}, False),
        ("lr != 0", {}, False),
        ("not lr > 0", {}, True),
        ("lr is null", {}, True),
        ("lr = null", {}, True),
        ("lr is not null", {"lr": 0}, True),
        ("lr != null", {}, False),
        ("lr in (1, null)", {}, True),
        ("value = nan", {"value": math.nan}, True),
        ("value != nan", {"value": math.nan}, False),
        ("value != nan", {"value": 1.0}, True),
        ("value < 1", {"value": math.nan}, False),
        ("value = -inf", {"value": -math.inf}, True),
        ("value < inf", {"value": 1e308}, True),
        ("reason contains NaN", {"reason": "train_loss is nan at epoch 3"}, True),
        ("reason contains 'out of memory'", {"reason": "CUDA out of memory"}, True),
        ("reason not contains x", {}, False),
        ("reason not contains x", {"reason": "y"}, True),
        ("reason contains 3", {"reason": 3}, False),
        ("reason = 'it''s'", {"reason": "it's"}, True),
        ('reason = "a ""b"""', {"reason": 'a "b"'}, True),
        ("reason = '日本'", {"reason": "日本"}, True),
        ("`lr` = 1", {"lr": 1}, True),
        ("params.`my name` = 1", {"params.my name": 1}, True),
        ("params.lr < `value`", {"params.lr": 1, "value": 2}, True),
        ("value > params.lr", {"params.lr": 1, "value": 2}, True),
        ("value = lr", {"value": "lr", "lr": 7}, True),
        ("(lr = 1 or lr = 2) and not (value = 3)", {"lr": 2, "value": 4}, True),
        ("lr = 1 or lr = 2 and value = 3", {"lr": 1, "value": 4}, True),
        ("NOT lr = 1 AND value = 4", {"lr": 2, "value": 4}, True),
        ("flag = [1]", {"flag": [1]}, None),
        ("flag in (1)", {"flag": [1]}, False),
        ("flag = 1", {"flag": [1]}, False),
    ],
)
def test_a_filter_holds_for_some_trials(text: str, row: dict[str, Any], expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(InvalidError):
            compile_filter(text, column)
    else:
        assert compile_filter(text, column)(row) is expected


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "a column must come here, not the end"),
        ("lr", 2, "a comparison, 'in', 'is' or 'contains' must come here, not the end"),
        ("lr <", 4, "a value must come here, not the end"),
        ("lr < 1 state = x", 7, "'and', 'or' or the end must come here, not 'state'"),
        ("wrong = 1", 0, "there is no column 'wrong'"),
        ("lr = 1 and params.x = 2", 11, "there is no column 'params.x'"),
        ("lr < params.x", 5, "there is no column 'params.x'"),
        ("0.1 < lr", 0, "a column must come here, not '0.1'"),
        ("lr in 1", 6, "'(' must come here, not '1'"),
        ("lr in ()", 7, "a value must come here, not ')'"),
        ("lr in (1", 8, "',' or ')' must come here, not the end"),
        ("(lr = 1", 7, "')' must come here, not the end"),
        ("lr is 1", 6, "'null' must come here, not '1'"),
        ("lr < null", 5, "null has no order"),
        ("lr >= nan", 6, "nan has no order"),
        ("lr = 'open", 5, '"\'open" cannot be read'),
        ("lr = 1 ; DROP TABLE trials", 7, "'; DROP TABLE trials' cannot be read"),
        ("lr = __import__('os')", 15, "'and', 'or' or the end must come here, not '('"),
        ("(" * 100 + "lr = 1" + ")" * 100, 32, "it is nested deeper than 32 levels"),
        ("not " * 40 + "lr = 1", 128, "it is nested deeper than 32 levels"),
        ("lr = 1.2.3", 5, "cannot be read"),
        ("lr = 1²", 5, "'1²' cannot be read"),
        ("lr = ٣٫٥", 6, "'٫٥' cannot be read"),
        ("lr = \0", 5, "cannot be read"),
    ],
)
def test_a_wrong_filter_names_the_position(text: str, position: int, words: str) -> None:
    with pytest.raises(InvalidError) as error:
        compile_filter(text, column)
    ((field, message),) = error.value.errors or ()
    assert field == "where"
    assert message.startswith(f"where is wrong at character {position}: ")
    assert words in message


def test_a_long_filter_is_refused() -> None:
    with pytest.raises(InvalidError, match="at most 2000 characters"):
        compile_filter("lr = 1 or " * 300 + "lr = 1", column)


NUMBERS = st.integers(-3, 3)
Tree = Any
LEAVES = st.tuples(st.sampled_from(["<", "<=", "=", "!=", ">", ">="]), st.sampled_from(["lr", "number"]), NUMBERS)
TREES: st.SearchStrategy[Tree] = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner),
    max_leaves=8,
)
SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}


def text_of(tree: Tree) -> str:
    if tree[0] == "not":
        return f"not ({text_of(tree[1])})"
    if tree[0] in ("and", "or"):
        return f"({text_of(tree[1])}) {tree[0]} ({text_of(tree[2])})"
    return f"{tree[1]} {tree[0]} {tree[2]}"


def truth_of(tree: Tree, row: Row) -> bool:
    if tree[0] == "not":
        return not truth_of(tree[1], row)
    if tree[0] == "and":
        return truth_of(tree[1], row) and truth_of(tree[2], row)
    if tree[0] == "or":
        return truth_of(tree[1], row) or truth_of(tree[2], row)
    return row[tree[1]] is not None and SIGNS[tree[0]](row[tree[1]], tree[2])


@settings(max_examples=200)
@given(tree=TREES, lr=st.none() | NUMBERS, number=NUMBERS)
def test_a_filter_says_what_its_parts_say(tree: Tree, lr: int | None, number: int) -> None:
    row = {"lr": lr, "number": number}
    assert compile_filter(text_of(tree), column)(row) == truth_of(tree, row)


WORDS = ["lr", "state", "(", ")", ",", "and", "or", "not", "in", "is", "null", "'x'", "`", "1", "<", "=", "nan"]


@settings(max_examples=300)
@given(text=st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        found = compile_filter(text, column)
    except InvalidError:
        return
    assert found({"lr": 1, "state": "FAIL"}) in (True, False)
