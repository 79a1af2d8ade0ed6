from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import optuna
import plotly.graph_objects as go
import pytest

from narrows.html_report.curve_plots import curve_plots
from narrows.html_report.gather import Gathered
from narrows.html_report.page import render_page
from narrows.html_report.plot import VERDICT_COLOURS
from narrows.html_report.search_plots import MAX_LINES, N_TIMELINE, search_plots
from narrows.html_report.weights import Histogram
from service.schemas.results import Trial
from service.schemas.study.search_space import CategoricalParameter
from tests.unit.narrows.html_report.studies import (
    SPACE,
    TWO_OBJECTIVES,
    as_optuna,
    diagnosis,
    gathered,
    params_of,
    trial,
    unfinished,
)

pytestmark = pytest.mark.heavy

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "</script><script>hacked()</script><img src=x onerror=hacked()>"
HISTOGRAM = Histogram([1e-3, 1e-2, 1e-1], [1, 3])


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


class Elements(HTMLParser):
    """The elements of a page, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1] not in ("script", "style"):
            self.text += data


def titles(one: Gathered) -> list[str]:
    return [plot.title for plot in (*curve_plots(one), *search_plots(one))]


def figure_of(one: Gathered, title: str) -> go.Figure:
    (figure,) = [plot.figure for plot in (*curve_plots(one), *search_plots(one)) if plot.title == title]
    return figure


def test_a_study_has_all_plots() -> None:
    trials = [*(trial(number) for number in range(30)), unfinished(30, "RUNNING"), unfinished(31, "WAITING")]
    assert titles(gathered(trials, weights={0: HISTOGRAM})) == [
        "Curves of the best 20 trials",
        "Gap against regularization",
        "Weights near zero",
        "Share of weights near zero",
        "Optimization history",
        "Intermediate values",
        "Parameter importances",
        "Slice",
        "Parallel coordinates",
        "Empirical distribution",
        "Timeline",
    ]


def test_few_parameters_have_a_contour() -> None:
    space = {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    }
    assert "Contour" in titles(gathered([trial(number) for number in range(5)], space))


def test_several_objectives_have_a_front_and_a_history_each() -> None:
    trials = [trial(number, values=[0.9 - 0.01 * number, 1000.0 - number]) for number in range(10)]
    found = titles(gathered(trials, objectives=TWO_OBJECTIVES, pruner="none"))
    assert [title for title in found if "front" in title or "history" in title] == [
        "Pareto front",
        "Optimization history of validation_accuracy",
        "Optimization history of n_parameters",
    ]
    assert "Intermediate values" not in found


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    "trials",
    [
        [],
        [unfinished(0, "WAITING")],
        [unfinished(0, "RUNNING")],
        [trial(0)],
        [trial(0), trial(1, values=[0.9])],
        [trial(number, values=[float("inf")]) for number in range(3)],
        [trial(0, values=[float("-inf")]), trial(1)],
        [trial(number, params={}) for number in range(3)],
        [trial(0, params={"dropout": 0.1}), trial(1, params={"optimizer": "sgd"})],
        [unfinished(number, "FAIL") for number in range(3)],
        [trial(0, metrics={}, step=None, worker=None, started_at=None, finished_at=None, duration_seconds=None)],
    ],
    ids=[
        "none",
        "waiting",
        "running",
        "one",
        "equal",
        "infinite",
        "one infinite",
        "no params",
        "other params",
        "failed",
        "of another program",
    ],
)
@pytest.mark.parametrize("objectives", [TWO_OBJECTIVES[:1], TWO_OBJECTIVES], ids=["one objective", "two objectives"])
def test_any_study_makes_a_page(trials: list[Trial], objectives: list[Any]) -> None:
    several = len(objectives) > 1
    shown = [one.model_copy(update={"values": one.values * 2}) if several and one.values else one for one in trials]
    document = render_page(gathered(shown, objectives=objectives, pruner="none"), NOW)

    assert "digits" in Elements(document).text
    assert document.count('class="plotly-graph-div"') == len(
        titles(gathered(shown, objectives=objectives, pruner="none"))
    )


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("gradient_clip", [None, 1.0, 2]),
        ("nesterov", [True, False]),
        ("batch_size", [16, 32]),
        ("model.activation", ["relu", "tanh"]),
    ],
)
def test_choices_of_any_kind_are_drawn(name: str, choices: list[Any]) -> None:
    space = {name: {"type": "categorical", "choices": choices}, "dropout": {"type": "float", "low": 0.0, "high": 0.5}}
    params = [{name: choices[number % len(choices)], "dropout": 0.05 * number} for number in range(8)]
    found = titles(gathered([trial(number, params=params[number]) for number in range(8)], space))
    assert {"Slice", "Parallel coordinates", "Contour"} <= set(found)


def test_plots_with_a_line_or_a_bar_for_each_trial_show_some_of_many() -> None:
    n = 2 * MAX_LINES + 1
    one = gathered([trial(number) for number in range(n)], n_curves=0)
    found = {plot.title: plot for plot in search_plots(one)}
    parallel = found["Parallel coordinates"]
    assert f"Each line is a trial, of {MAX_LINES} trials" in parallel.note
    assert len(parallel.figure.data) <= MAX_LINES + len(SPACE) + 1
    assert sum(len(bars.y) for bars in found["Timeline"].figure.data) == N_TIMELINE


def test_what_users_wrote_is_text_and_the_page_loads_nothing() -> None:
    trials = [
        trial(number, params={**params_of(number), "optimizer": [HOSTILE, "adam"][number % 2]}) for number in range(8)
    ]
    one = gathered(trials)
    one.study.definition.search_space["optimizer"] = CategoricalParameter(type="categorical", choices=[HOSTILE, "adam"])
    document = render_page(replace(one, as_optuna=as_optuna(one.study, trials, one.curves)), NOW)
    found = Elements(document)

    assert HOSTILE in found.text
    assert "raise <b> of weight_decay" in found.text
    assert "it is <so>" in found.text
    assert "hacked()</script>" not in document
    assert not {"img", "so"} & set(found.tags)
    assert [link for link in found.links if not link.startswith(("#", "data:"))] == []
    assert "default-src 'none'" in document


def test_the_report_has_the_colours_of_the_pages() -> None:
    document = render_page(gathered([trial(0)]), NOW)
    for verdict, colour in VERDICT_COLOURS.items():
        assert f"--{verdict}: {colour};" in document
        assert f".{verdict} {{ --kind: var(--{verdict}); }}" in document


def test_control_characters_of_users_are_told_as_escapes() -> None:
    one = gathered([trial(0)])
    named = one.study.model_copy(update={"data": "\x1b[31m \u202egpj.exe\x9b"})
    text = Elements(render_page(replace(one, study=named), NOW)).text
    assert r"Data: \x1b[31m \u202egpj.exe\x9b" in text


def test_the_grid_draws_validation_solid_and_training_dashed_of_twenty_at_most() -> None:
    figure = figure_of(gathered([trial(number) for number in range(30)]), "Curves of the best 20 trials")

    lines = [(trace.name, trace.line.dash) for trace in figure.data]
    assert lines == [("validation_accuracy", "solid"), ("train_accuracy", "dash")] * 20
    assert [trace.name for trace in figure.data if trace.showlegend] == ["validation_accuracy", "train_accuracy"]
    assert figure.layout.annotations[0].text == "#0 · 0.9"


def test_the_gap_stands_against_dropout_and_weight_decay_on_their_scales() -> None:
    figure = figure_of(gathered([trial(number) for number in range(10)]), "Gap against regularization")

    assert [(axis.title.text, axis.type) for axis in (figure.layout.xaxis, figure.layout.xaxis2)] == [
        ("weight_decay", "log"),
        ("dropout", "linear"),
    ]
    assert len(figure.data[0].x) == 10


def test_verdicts_are_in_the_table_and_the_headings() -> None:
    trials = [trial(number) for number in range(3)]
    one = replace(gathered(trials), diagnosis=diagnosis(trials, "overfitting"))

    assert "3 overfitting" in Elements(render_page(one, NOW)).text
    assert figure_of(one, "Curves of the best 3 trials").layout.annotations[0].text == "#0 · 0.9 · overfitting"


def test_the_page_says_why_a_study_is_paused_and_what_it_trains_on() -> None:
    one = gathered([trial(0)])
    reason, data = "the last 10 trials have failed: no file <labels>.csv", "images of 3x8x8 in 2 classes"
    paused = one.study.model_copy(update={"state": "paused", "state_reason": reason, "data": data})
    text = Elements(render_page(replace(one, study=paused), NOW)).text
    assert f"paused: {reason}" in text
    assert f"Data: {data}" in text


def test_a_page_of_many_trials_stays_small_enough_to_open() -> None:
    trials = [trial(number) for number in range(1000)]
    document = render_page(gathered(trials, n_curves=200), NOW)

    assert len(document) < 12 * 1024**2
    assert "The newest 200 trials, one by one" in document
