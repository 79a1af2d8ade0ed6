from narrows.html_report.rounds_plot import Round, rounds_plot
from service.schemas.study.search_space import FloatParameter

SPACE = {
    "learning_rate": FloatParameter(type="float", low=1e-5, high=0.1, log=True),
    "dropout": FloatParameter(type="float", low=0.0, high=0.5),
}
ROUNDS: list[Round] = [
    {"round": 0, "ranges": {"learning_rate": {"low": 1e-5, "high": 0.1}, "dropout": {"low": 0.0, "high": 0.5}}},
    {"round": 1, "ranges": {"learning_rate": {"low": 1e-4, "high": 0.01}, "dropout": {"low": 0.1, "high": 0.3}}},
]


def test_each_range_has_a_bar_a_round_from_low_to_high() -> None:
    (plot,) = rounds_plot(ROUNDS, SPACE)
    rates, dropouts = plot.figure.data

    assert [tuple(ends) for ends in rates.customdata] == [(1e-5, 0.1), (1e-4, 0.01)]
    assert list(dropouts.x) == [0, 1]
    assert list(dropouts.base) == [0.0, 0.1]
    assert [low + height for low, height in zip(dropouts.base, dropouts.y, strict=True)] == [0.5, 0.3]
    assert (plot.figure.layout.yaxis.type, plot.figure.layout.yaxis2.type) == ("log", "linear")


def test_a_study_without_rounds_has_no_plot() -> None:
    assert list(rounds_plot([], SPACE)) == []
