"""The peers of the training benchmark train what Narrows trains."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from benchmarks.peers import narrows
from benchmarks.peers.cases import CASES, Case, Setup, batch_size_of
from benchmarks.peers.models import make_model
from benchmarks.peers.outcomes import Measured, Outcome, Pruning, Watched, open_study
from service.schemas.study.definition import Definition
from service.schemas.study.resolve import resolve
from service.schemas.study.training import Training
from workers.models.build import build_model

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_a_peers_model_has_the_parameters_and_the_function_of_narrows(case: Case) -> None:
    shape = SHAPES[case.dataset]
    (params,) = case.configurations(1)
    training = Training.model_validate(resolve(case.training(1), params))
    ours = build_model(training.model, shape, 10)
    assert training.batch_size == batch_size_of(params)
    theirs = make_model(case.model_of(params), shape, 10, dropout=0.0)
    values = list(ours.state_dict().values())
    assert [value.shape for value in values] == [value.shape for value in theirs.state_dict().values()]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    images = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(theirs(images), ours(images))


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_configurations_are_the_same_every_time_and_in_the_space(case: Case) -> None:
    some = case.configurations(8)
    assert some == case.configurations(12)[:8]
    for params in some:
        assert params.keys() == case.space.keys()
        assert all(field["low"] <= params[name] <= field["high"] for name, field in case.space.items())


@pytest.mark.parametrize("pruning", get_args(Pruning))
@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_narrows_trains_the_same_configurations_in_the_same_order(case: Case, pruning: Pruning) -> None:
    setup = Setup(case, 8, 2, pruning, "cpu", Path())
    study = Definition.model_validate(narrows.definition(setup, "measured"))
    assert study.enqueue == setup.configurations
    assert len(study.enqueue) == study.n_trials
    assert study.training.model_dump()["epochs"] == 2
    assert study.pruner.name == pruning


def test_a_trial_below_the_median_is_pruned_after_the_first_five() -> None:
    study = open_study("median", None)
    for _ in range(5):
        good = Watched(study, 3)
        assert [good.report(epoch, 0.9, float(epoch)) for epoch in range(2)] == [None, None]
        assert good.report(2, 0.9, 2.0) == Outcome(2.0, 0.9, 3, pruned=False)
    bad = Watched(study, 3)
    assert bad.report(0, 0.1, 0.0) is None  # the first step warms up
    assert bad.report(1, 0.1, 1.0) == Outcome(1.0, 0.1, 2, pruned=True)


def test_without_pruning_every_trial_is_trained_to_its_end() -> None:
    study = open_study("none", None)
    for accuracy in (0.9, 0.9, 0.9, 0.9, 0.9, 0.1):
        watched = Watched(study, 2)
        assert watched.report(0, accuracy, 0.0) is None
        assert watched.report(1, accuracy, 1.0) == Outcome(1.0, accuracy, 2, pruned=False)


def test_the_time_to_an_accuracy_is_that_of_the_first_complete_trial() -> None:
    outcomes = [Outcome(1.0, 0.99, 1, True), Outcome(3.0, 0.97, 2, False), Outcome(2.0, 0.95, 2, False)]
    measured = Measured(3.0, outcomes)
    assert measured.seconds_to(0.95) == 2.0
    assert measured.seconds_to(0.96) == 3.0
    assert measured.seconds_to(0.98) is None


def test_a_dry_run_shows_cases_peers_and_sizes_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import training

    arguments = "--device cuda --dry-run --trials 3 --peers loop narrows-auto --case mnist-cnn-bf16 digits-search"
    monkeypatch.setattr("sys.argv", ["training", *arguments.split()])
    training.main()
    shown = capsys.readouterr().out
    assert "- narrows-auto: Narrows, lanes auto" in shown
    assert "| MNIST cnn, bf16 | median | mnist, " in shown
    assert "| digits-search | median | examples/digits.yaml, start included | 3 | 20 |" in shown
    assert "python -m pytest -m gpu" in shown
