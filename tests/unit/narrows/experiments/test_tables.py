from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from narrows.experiments.definition import Experiment, Search, Variant
from narrows.experiments.figures import EvaluatedModel
from narrows.experiments.runner import Measured
from narrows.experiments.saved import Saved, saved_rows
from narrows.experiments.tables import best_rows, figure_rows, search_rows, tables
from service.schemas.final import Final, TestScore
from service.schemas.results import Trial

START = datetime(2026, 1, 2, tzinfo=UTC)
SEARCH: dict[str, Any] = {"search_space": {}, "n_trials": 2}


def trial(number: int, value: float | None, epochs: int) -> Trial:
    """One after another, a second each."""
    return Trial(
        study="s",
        number=number,
        state="PRUNED" if value is None else "COMPLETE",
        params={"dropout": number / 10},
        values=None if value is None else [value],
        metrics={},
        step=epochs - 1,
        attempts=[],
        reason=None,
        worker=None,
        started_at=START + timedelta(seconds=number),
        finished_at=START + timedelta(seconds=number + 1),
        duration_seconds=1.0,
    )


def measured(one: Variant, seed: int, accuracy: float, trials: Sequence[Trial] = ()) -> Measured:
    score = TestScore(loss=0.3, accuracy=accuracy, accuracy_low=0.0, accuracy_high=1.0, n_images=100)
    fields: dict[str, Any] = {"candidates": [], "test_said": score}
    return Measured(one, seed, list(trials), Final.model_construct(**fields), EvaluatedModel({}, [0.5], score))


def experiment(**fields: Any) -> Experiment:
    texts = dict.fromkeys(("title", "source", "data", "differences"), "")
    return Experiment.model_validate({**texts, "training": {}, "figures": ["test_accuracy"], **fields})


def test_a_figure_is_the_median_of_its_seeds_beside_the_published_one() -> None:
    plain = Variant(label="plain", published={"test_accuracy": 1})
    rows = figure_rows(experiment(seeds=3), [[measured(plain, seed, seed / 4) for seed in range(3)]])
    assert rows.rows == [["plain", "0.25 (0 to 0.5) / 1"]]
    assert "3 seeds" in rows.title


def test_each_search_is_held_against_the_best_of_the_first_one_with_the_same_seed() -> None:
    first, other = Search(label="random", **SEARCH), Search(label="tpe", **SEARCH)
    rows = search_rows(
        [
            [
                measured(first, 0, 0.5, [trial(0, 0.5, 10), trial(1, 0.75, 10)]),
                measured(first, 1, 0.5, [trial(0, 1.0, 10), trial(1, 0.75, 10)]),
            ],
            [
                measured(other, 0, 0.5, [trial(0, 0.75, 5), trial(1, None, 1)]),
                measured(other, 1, 0.5, [trial(0, 0.75, 5), trial(1, None, 3)]),
            ],
        ]
    )
    assert rows.rows == [
        ["random", "2", "0.875 (0.75 to 1)", "20", "15 (10 to 20)", "0.75 (0.5 to 1)", "1.5 (1 to 2)", "2 of 2"],
        [
            "tpe",
            "2",
            "0.75",
            "7 (6 to 8)",
            "never (5 to never)",
            "never (0.25 to never)",
            "never (1 to never)",
            "1 of 2",
        ],
    ]


def test_the_best_trials_are_those_of_the_first_seed_with_what_was_published() -> None:
    one = Search(label="random", published={"best_trials": "small ones"}, **SEARCH)
    rows = best_rows([measured(one, 0, 0.5, [trial(1, 0.5, 1), trial(2, 0.75, 1), trial(3, None, 1)])])
    assert rows.title == "The best trials, random; published: small ones"
    assert rows.rows == [["0.75", "dropout=0.2"], ["0.5", "dropout=0.1"]]


def test_a_loaded_model_stands_beside_what_was_recorded_of_it() -> None:
    rows = saved_rows("searched", [Saved(7, [0.5, 0.6931472], [0.5, 0.6931474])])
    assert rows.header[1:3] == ["validation accuracy, recorded", "validation accuracy, loaded"]
    assert rows.rows == [["7", "0.5", "0.5", "0.693147", "0.693147"]]


def test_without_a_search_there_is_the_table_of_figures_alone() -> None:
    assert len(tables(experiment(), [[measured(Variant(label="plain"), 0, 0.5)]])) == 1
