"""The tables of an experiment: rows of text, for the terminal and for a record alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.cli.output import number, params_line
from service.experiments.definition import Experiment
from service.experiments.figures import FIGURES
from service.experiments.runner import Measured
from service.experiments.searches import n_epochs, reached

N_BEST = 5


@dataclass(frozen=True)
class Rows:
    title: str
    header: list[str]
    rows: list[list[str]]


def tables(experiment: Experiment, variants: Sequence[Measured], searches: Sequence[Measured]) -> list[Rows]:
    """The figures of all models beside the published ones; of searches, what they cost and found."""
    found = [figure_rows(experiment, [*variants, *searches])]
    if searches:
        found.append(search_rows(searches))
        found += [best_rows(search) for search in searches]
    return found


def figure_rows(experiment: Experiment, measured: Sequence[Measured]) -> Rows:
    """Each cell is `measured / published`, or the measured one alone."""
    rows = [[one.one.label, *(_cell(one, name) for name in experiment.figures)] for one in measured]
    header = ["", *(name.replace("_", " ") for name in experiment.figures)]
    return Rows("Measured / published, of the model that the test split has judged", header, rows)


def _cell(measured: Measured, name: str) -> str:
    value = number(FIGURES[name](measured.model))
    published = measured.one.published.get(name)
    return value if published is None else f"{value} / {published}"


def search_rows(searches: Sequence[Measured]) -> Rows:
    """What each search cost until it was as good as the best trial of the first."""
    target = best_trials(searches[0], 1)[0][0]
    header = ["", "trials", "best validation", "epochs", f"epochs to {number(target)}", f"seconds to {number(target)}"]
    rows = []
    for search in searches:
        when = reached(search.trials, target)
        cost = ["never", "never"] if when is None else [str(when.epochs), f"{when.seconds:.1f}"]
        best = number(best_trials(search, 1)[0][0])
        rows.append([search.one.label, str(len(search.trials)), best, str(n_epochs(search.trials)), *cost])
    return Rows("What the searches cost", header, rows)


def best_rows(search: Measured) -> Rows:
    rows = [[number(value), text] for value, text in best_trials(search, N_BEST)]
    published = search.one.published.get("best_trials")
    note = "" if published is None else f"; published: {published}"
    return Rows(f"The best trials, {search.one.label}{note}", ["validation", "params"], rows)


def best_trials(search: Measured, k: int) -> list[tuple[float, str]]:
    """Validation figure and parameters of the best complete trials, best first."""
    complete = [(trial.values[0], params_line(trial.params)) for trial in search.trials if trial.values]
    return sorted(complete, reverse=True)[:k]


def markdown(rows: Rows) -> str:
    lines = [f"{rows.title}:", "", _line(rows.header), _line(["---"] * len(rows.header)), *map(_line, rows.rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
