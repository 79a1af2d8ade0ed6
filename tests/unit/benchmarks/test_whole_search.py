"""The case digits-search: what its commands are asked for, and what is read from a worker's log."""

import json
from datetime import datetime, timedelta

import pytest
import torch

from benchmarks import whole_search
from benchmarks.peers.searches.digits import Search, new_model, suggest, trainer
from benchmarks.peers.searches.plain_loop import draw
from service.schemas.study.definition import Definition

BEGAN = datetime(2026, 11, 30, 12).astimezone()
LOG = """\
2026-11-30 12:00:02,500 INFO cpu/7: first batch 0.61 s after this process began
2026-11-30 12:00:03,000 INFO cpu/8: first batch 1.10 s after this process began
2026-11-30 12:00:11,000 INFO cpu/7: ends after 7.20 s training, 0.90 s besides (11.1% of both: start 0.10)
2026-11-30 12:00:11,000 INFO cpu/8: ends after 6.30 s training, 0.90 s besides (12.5% of both: start 0.10)
"""


def test_the_time_after_the_first_batch_is_shared_out_by_process() -> None:
    ended = BEGAN + timedelta(seconds=10)
    first_batch, not_training = whole_search.shares(LOG, BEGAN, ended)
    assert first_batch == pytest.approx(2.5)
    assert not_training == pytest.approx(1 - (7.2 + 6.3) / (7.5 + 7.0))
    assert whole_search.shares(LOG.replace("first batch", ""), BEGAN, ended) == (None, None)


def test_the_study_is_the_example_unless_its_size_is_given() -> None:
    example, small = whole_search.study(None, None), whole_search.study(4, 2)
    assert Definition.model_validate(example).name == "digits"
    assert small == example | {"n_trials": 4, "training": example["training"] | {"epochs": 2}}


def test_commands_get_the_space_and_share_out_all_trials() -> None:
    space = whole_search.space_of(whole_search.study(None, None))
    searches = [Search(space, 20, 30, "cpu", "folder", 5, 3, 2, process) for process in range(2)]
    assert [Search(**json.loads(search.to_json())) for search in searches] == searches
    assert sorted(number for search in searches for number in search.own_trials) == list(range(30))


def test_configurations_are_in_the_space_and_the_same_every_time() -> None:
    space = whole_search.space_of(whole_search.study(None, None))
    drawn = [draw(space, seed) for seed in range(50)]
    assert drawn == [draw(space, seed) for seed in range(50)]
    for params in drawn:
        assert params.keys() == space.keys()
        assert all(field["low"] <= params[name] <= field["high"] for name, field in space.items())
        assert all(isinstance(params[name], int) for name, field in space.items() if field["type"] == "int")


def test_a_trial_of_optuna_is_asked_for_every_parameter() -> None:
    class Lowest:
        def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
            return low if log else high

        def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
            return low if log else high

    space = whole_search.space_of(whole_search.study(None, None))
    expected = {"learning_rate": 1e-4, "weight_decay": 1e-7, "dropout": 0.5, "model.hidden.0": 32, "batch_size": 16}
    assert suggest(Lowest(), space) == expected


def test_the_plain_loop_learns_the_digits() -> None:
    params = {"learning_rate": 3e-3, "weight_decay": 1e-6, "dropout": 0.1, "model.hidden.0": 32, "batch_size": 64}
    torch.manual_seed(0)
    accuracies = list(trainer("cpu")(Search({}, 3, 1, "cpu", "folder", 5, 3), params))
    assert len(accuracies) == 3
    assert accuracies[-1] > 0.8
    assert [tuple(weight.shape) for weight in new_model(params).parameters()] == [(32, 64), (32,), (10, 32), (10,)]
