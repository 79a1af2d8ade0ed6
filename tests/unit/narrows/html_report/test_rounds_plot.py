from narrows.html_report.rounds_plot import rounds_plot
from service.schemas.rounds import Range, Round
from service.schemas.study.search_space import FloatParameter

SPACE = {
    "learning_rate": FloatParameter(type="float", low=1e-5, high=0.1, log=True),
    "dropout": FloatParameter(type="float", low=0.0, high=0.5),
}


def stage(number: int, **ends: tuple[float, float]) -> Round:
    ranges = {
        name: Range(low=low, high=high, log=False, share=1.0, verdict="shrunk", note=None)
        for name, (low, high) in ends.items()
    }
    return Round(
        round=number,
        first_trial=0,
        n_trials=0,
        best=None,
        began_at=None,
        requested_by=None,
        keep_top=None,
        margin=None,
        kept=[],
        ranges=ranges,
        note=None,
    )


ROUNDS = [
    stage(0, learning_rate=(1e-5, 0.1), dropout=(0.0, 0.5)),
    stage(1, learning_rate=(1e-4, 0.01), dropout=(0.1, 0.3)),
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
