from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from narrows.errors import CommandError
from narrows.experiments.definition import experiment_names, read_experiment
from narrows.experiments.figures import FIGURES, EvaluatedModel
from narrows.experiments.rows import Rows, markdown
from narrows.experiments.searches import NEVER, Reached, best_value, n_epochs, reached
from narrows.experiments.spread import mean_and_error, spread
from narrows.experiments.studies import merged, quick_version, study_definition
from service.schemas.final import TestScore
from service.schemas.results import Trial
from service.schemas.study.definition import Definition

START = datetime(2026, 1, 2, tzinfo=UTC)
SCORE = TestScore(loss=0.3, accuracy=0.75, accuracy_low=0.7, accuracy_high=0.8, n_images=100)


def trial(begin: float, end: float, epochs: int, value: float | None, number: int = 0) -> Trial:
    return Trial(
        study="s",
        number=number,
        state="PRUNED" if value is None else "COMPLETE",
        params={},
        values=None if value is None else [value],
        metrics={},
        step=epochs - 1,
        attempts=[],
        reason=None,
        worker=None,
        started_at=START + timedelta(seconds=begin),
        finished_at=START + timedelta(seconds=end),
        duration_seconds=end - begin,
    )


@pytest.mark.parametrize("name", experiment_names())
@pytest.mark.parametrize("change", [quick_version, lambda experiment: experiment], ids=["quick", "whole"])
def test_every_study_of_every_experiment_holds_together(name: str, change: object) -> None:
    assert callable(change)
    experiment = change(read_experiment(name))
    for one in [*experiment.variants, *experiment.searches]:
        Definition.model_validate(study_definition(name, experiment, one))
        assert set(one.published) <= {*FIGURES, "best_trials"}


def test_quick_leaves_two_epochs_and_three_trials_even_where_a_variant_has_epochs_of_its_own() -> None:
    experiment = quick_version(read_experiment("mnist-dropout"))
    assert {study_definition("s", experiment, one)["training"]["epochs"] for one in experiment.variants} == {2}
    assert {search.n_trials for search in quick_version(read_experiment("random-search")).searches} == {3}


def test_an_unknown_experiment_is_told_with_those_that_there_are() -> None:
    with pytest.raises(CommandError, match=r"NAME must be one of .*overfit-200.*'no-such'"):
        read_experiment("no-such")


def test_an_unknown_field_and_an_unknown_figure_are_named(tmp_path: Path) -> None:
    text = (Path(__file__).parents[4] / "examples/experiments/overfit-200.yaml").read_text()
    file = tmp_path / "one.yaml"
    file.write_text(text + "colour: red\n")
    with pytest.raises(CommandError, match="colour is an unknown field"):
        read_experiment(str(file))
    file.write_text(text.replace("figures: [", "figures: [beauty, "))
    with pytest.raises(CommandError, match=r"figures must be among train_accuracy.*: beauty"):
        read_experiment(str(file))


def test_changes_go_into_inner_objects_and_leave_the_base_alone() -> None:
    base = {"model": {"name": "mlp", "hidden": [1]}, "epochs": 3}
    assert merged(base, {"model": {"hidden": [2]}, "dropout": 0.1}) == {
        "model": {"name": "mlp", "hidden": [2]},
        "epochs": 3,
        "dropout": 0.1,
    }
    assert merged({"dataset": "mnist"}, {"dataset": {"n_train": 3}}) == {"dataset": {"name": "mnist", "n_train": 3}}
    assert base["model"] == {"name": "mlp", "hidden": [1]}


def test_figures_are_of_the_tested_model() -> None:
    model = EvaluatedModel({"train_accuracy": 1.0}, [0.5, 0.2, 0.4], SCORE)
    wanted = {"gap": 0.25, "lowest_at_epoch": 2, "lowest_validation_loss": 0.2, "last_validation_loss": 0.4}
    assert {name: FIGURES[name](model) for name in wanted} == wanted


def test_a_search_has_cost_the_epochs_that_were_over_when_it_was_as_good() -> None:
    trials = [trial(0, 10, 5, 0.6, 0), trial(1, 4, 2, None, 1), trial(9, 20, 6, 0.8, 2), trial(15, 35, 8, 0.9, 3)]
    seconds = {
        0: [2.0] * 5,
        1: [1.5] * 2,
        2: [0.5, 0.5, 1.0, 2.0, 3.0, 3.0],
        3: [1.0, 1.0, 1.0, 5.0, 2.0, 2.0, 2.0, 2.0],
    }
    assert n_epochs(trials) == 21
    assert best_value(trials) == 0.9
    assert reached(trials, seconds, 0.8) == Reached(epochs=5 + 2 + 6 + 1, seconds=20.0)
    assert reached(trials, seconds, 0.6) == Reached(epochs=5 + 2, seconds=10.0)
    assert reached(trials, seconds, 0.95) == NEVER


@pytest.mark.parametrize(("moment", "epochs"), [(100.0, 0), (101.0, 0), (102.0, 1), (104.9, 1), (105.0, 2), (108.0, 4)])
def test_epochs_are_counted_back_from_the_end_of_their_trial(moment: float, epochs: int) -> None:
    """It was claimed at 100, and its four epochs were over at 102, 105, 107 and 108."""
    trials = [trial(100, 108, 4, 0.5, 0), trial(90, moment, 1, 0.75, 1)]
    assert reached(trials, {0: [0.5, 3.0, 2.0, 1.0], 1: [9.0]}, 0.75).epochs == epochs + 1


def test_a_cell_has_the_median_between_the_lowest_and_the_highest_seed() -> None:
    assert spread([0.25]) == "0.25"
    assert spread([0.25, 0.25]) == "0.25"
    assert spread([0.5, 0.125, 4321.5]) == "0.5 (0.125 to 4322)"
    assert spread([NEVER.epochs, 3.0, 2.0]) == "3 (2 to never)"
    assert spread([NEVER.epochs, 3.0]) == "never (3 to never)"
    assert mean_and_error([0.125]) == "0.125"
    assert mean_and_error([0.1, 0.3]) == "0.2 ± 0.1"


def test_each_seed_is_that_of_split_trainings_and_sampler() -> None:
    experiment = read_experiment("random-search")
    studies = [study_definition("s", experiment, experiment.searches[0], seed) for seed in (0, 7)]
    for seed, study in zip((0, 7), studies, strict=True):
        assert study["sampler"] == {"name": "random", "seed": seed}
        assert study["training"]["seed"] == study["training"]["dataset"]["split_seed"] == seed
    assert study_definition("s", experiment, experiment.searches[1], 7)["sampler"] == {"name": "tpe", "seed": 7}


def test_a_record_has_the_rows_of_the_table() -> None:
    text = markdown(Rows("Figures", ["", "test accuracy"], [["none", "0.9 / 0.91"]]))
    assert text.splitlines()[2:] == ["|  | test accuracy |", "| --- | --- |", "| none | 0.9 / 0.91 |"]
