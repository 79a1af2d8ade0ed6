import itertools
import math
from typing import Any

import pytest

from service.errors import InvalidError
from service.finals.confidence import ConfirmedCandidate
from service.finals.plan import Plan, Repetition, confirmed_candidates
from service.registry.creation_checks import check_name
from service.schemas.final import MAX_NAME, linked_name
from service.schemas.study.definition import Definition
from tests.integration.service_driver import definition


@pytest.mark.parametrize("name", ["a", "x" * 120, "x" * 121, "x" * 128, "a.final"])
def test_names_of_linked_studies_are_reserved_and_not_too_long(name: str) -> None:
    for number in (1, 2, 10, 1000):
        linked = linked_name(name, number)
        assert len(linked) <= MAX_NAME
        with pytest.raises(InvalidError):
            check_name(linked)


def test_long_names_stay_apart() -> None:
    long = "x" * 126
    linked = {linked_name(f"{long}{end}", number) for end, number in itertools.product("abc", (1, 2, 20))}
    assert len(linked) == 9


@pytest.mark.parametrize("name", ["final", "a.finals", "a.final-", "a.final-x", "final-2", "a-final"])
def test_other_names_are_free(name: str) -> None:
    check_name(name)


def test_every_trial_of_the_linked_study_has_one_part() -> None:
    candidates: list[dict[str, Any]] = [{"trial_number": number, "value": 0.5, "params": {}} for number in (8, 3, 5)]
    plan = Plan.model_validate({"n_seeds": 2, "train_on_validation": False, "candidates": candidates})

    parts = [number for place in range(3) for number in plan.trials_of(place)]

    assert parts == list(range(plan.n_confirmations))
    assert [plan.is_test_trial(number) for number in range(7)] == [False] * 6 + [True]


def test_constraints_are_kept_or_violated_in_the_mean() -> None:
    candidates: list[dict[str, Any]] = [{"trial_number": number, "value": 0.5, "params": {}} for number in (8, 3)]
    plan = Plan.model_validate({"n_seeds": 3, "train_on_validation": False, "candidates": candidates})
    constraints = [{"a": 1.0, "b": -1.0}, {"a": -0.5, "b": -1.0}, {"a": 9.0}, {"a": 1.0, "b": 2.0}, {"a": -1.5}, {}]
    values = [0.1, 0.2, None, 0.4, 0.5, None]

    first, second = confirmed_candidates(plan, [Repetition(*one) for one in zip(values, constraints, strict=True)])

    assert first == ConfirmedCandidate(8, [0.1, 0.2], ["a"])
    assert second == ConfirmedCandidate(3, [0.4, 0.5], ["b"])


@pytest.mark.parametrize(
    ("values", "is_satisfied"),
    [([0.1 - 0.3, 0.5 - 0.3], True), ([math.inf, -math.inf], False), ([math.inf], False), ([-math.inf, 0.1], True)],
)
def test_rounding_violates_no_constraint_and_an_unknown_mean_satisfies_none(
    values: list[float], is_satisfied: bool
) -> None:
    candidate = {"trial_number": 0, "value": 0.5, "params": {}}
    plan = Plan.model_validate({"n_seeds": len(values), "train_on_validation": False, "candidates": [candidate]})
    (found,) = confirmed_candidates(plan, [Repetition(0.5, {"a": one}) for one in values])
    assert found.violated == ([] if is_satisfied else ["a"])


def test_a_definition_that_asks_for_confirmation_may_leave_the_numbers_out() -> None:
    confirmation = Definition.model_validate(definition(confirmation={})).confirmation
    assert confirmation is not None
    assert (confirmation.top_k, confirmation.n_seeds) == (3, 3)
