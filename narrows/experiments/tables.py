"""The tables of an experiment."""

from collections.abc import Sequence

from narrows.experiments.definition import Experiment, Search
from narrows.experiments.figures import FIGURES
from narrows.experiments.rows import Rows
from narrows.experiments.runner import Measured
from narrows.experiments.saved import saved_rows
from narrows.experiments.searches import NEVER, best_value, n_epochs, reached
from narrows.experiments.spread import spread
from narrows.experiments.winner_bias import bias_rows
from service.client.text import number, params_line

N_BEST = 5


def tables(experiment: Experiment, measured: Sequence[Sequence[Measured]]) -> list[Rows]:
    """Return all tables: measured and published figures; for searches also costs, best trials and winners."""
    result = [figure_rows(experiment, measured)]
    searches = [each for each in measured if isinstance(each[0].variant, Search)]
    if searches:
        result.append(search_rows(searches))
    for each in searches:
        result += [best_rows(each), *bias_rows(each)]
        if saved := [one.saved for one in each if one.saved is not None]:
            result.append(saved_rows(each[0].variant.label, saved))
    return result


def figure_rows(experiment: Experiment, measured: Sequence[Sequence[Measured]]) -> Rows:
    """Return a row for each variant and search; a cell is `measured / published`, or just the measured figure."""
    rows = [[each[0].variant.label, *(_cell(each, name) for name in experiment.figures)] for each in measured]
    header = ["", *(name.replace("_", " ") for name in experiment.figures)]
    several = f" (median, lowest and highest of {experiment.seeds} seeds)" if experiment.seeds > 1 else ""
    return Rows(f"Measured{several} / published, of the tested model", header, rows)


def _cell(measured: Sequence[Measured], name: str) -> str:
    value = spread([FIGURES[name](one.model) for one in measured])
    published = measured[0].variant.published.get(name)
    return value if published is None else f"{value} / {number(published)}"


def search_rows(searches: Sequence[Sequence[Measured]]) -> Rows:
    """Return what each search cost until it was as good as the best trial of the first search with the same seed."""
    first = searches[0]
    goals = [best_value(one.trials) for one in first]
    budgets = [n_epochs(one.trials) for one in first]
    target = f"the best of {first[0].variant.label}"
    header = [
        "",
        "trials",
        "best validation",
        "epochs",
        f"epochs to {target}",
        "share of all its epochs",
        "seconds to it",
        "came to it",
    ]
    rows = []
    for each in searches:
        when = [reached(one.trials, one.epoch_seconds, goal) for one, goal in zip(each, goals, strict=True)]
        figures = [
            [best_value(one.trials) for one in each],
            [float(n_epochs(one.trials)) for one in each],
            [one.epochs for one in when],
            [one.epochs / budget for one, budget in zip(when, budgets, strict=True)],
            [one.seconds for one in when],
        ]
        came = f"{sum(one is not NEVER for one in when)} of {len(when)}"
        rows.append([each[0].variant.label, str(len(each[0].trials)), *map(spread, figures), came])
    return Rows("What the searches cost", header, rows)


def best_rows(measured: Sequence[Measured]) -> Rows:
    """Return the best trials of the search with the first seed."""
    search = measured[0]
    rows = [[number(value), text] for value, text in best_params(search, N_BEST)]
    published = search.variant.published.get("best_trials")
    note = "" if published is None else f"; published: {published}"
    seed = f", seed {search.seed}" if len(measured) > 1 else ""
    return Rows(f"The best trials, {search.variant.label}{seed}{note}", ["validation", "params"], rows)


def best_params(search: Measured, k: int) -> list[tuple[float, str]]:
    """Return objective value and parameters of the k best complete trials, best first."""
    complete = [(trial.values[0], params_line(trial.params)) for trial in search.trials if trial.values]
    return sorted(complete, reverse=True)[:k]
