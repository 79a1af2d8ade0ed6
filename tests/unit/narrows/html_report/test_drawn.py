"""Plots of a large study draw a part of its trials, and the page says which."""

from datetime import UTC, datetime

from narrows.html_report.drawn import MAX_DRAWN, N_NEWEST, drawn_numbers
from narrows.html_report.page import render_page
from narrows.html_report.search_plots import search_plots
from tests.unit.narrows.html_report.studies import gathered, study, trial

N = 2 * MAX_DRAWN


def test_a_small_study_is_drawn_whole() -> None:
    assert drawn_numbers(study(), [trial(number) for number in range(50)], []) == set(range(50))


def test_of_a_large_study_the_telling_trials_are_drawn() -> None:
    values = [0.5 - 1e-6 * (number * 7919 % N) for number in range(N)]
    values[1000] = 0.9
    trials = [trial(number, values=[value]) for number, value in enumerate(values)]
    numbers = drawn_numbers(study(), trials, [77])
    assert len(numbers) == MAX_DRAWN
    best = sorted(range(N), key=lambda number: -values[number])[:500]
    assert {77, 1000, *best, *range(N - N_NEWEST, N)} <= numbers
    assert max(b - a for a, b in zip(sorted(numbers), sorted(numbers)[1:], strict=False)) < 20


def test_the_plots_and_the_page_of_a_part_are_bounded() -> None:
    whole = gathered([trial(number) for number in range(600)], n_curves=20)
    part = gathered([trial(number) for number in range(0, 600, 3)], n_curves=20)
    half = type(whole)(**{**vars(whole), "as_optuna": part.as_optuna})
    plots = {plot.title: plot for plot in search_plots(half)}
    history = plots["Optimization history"].figure
    assert len(history.data[0].x) == 200
    assert max(history.data[0].x) == 597
    assert "of 150 trials" not in plots["Slice"].note
    page = render_page(half, datetime(2026, 1, 2, tzinfo=UTC))
    assert "The plots draw 200 of 600 trials" in page
    assert "The plots draw" not in render_page(whole, datetime(2026, 1, 2, tzinfo=UTC))
