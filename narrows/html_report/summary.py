"""The figures and tables of the page, without their HTML."""

from collections.abc import Sequence
from dataclasses import dataclass

from narrows.html_report.gather import Gathered
from service.client.text import metrics_of, number, params_line, seconds
from service.schemas.diagnosis import Diagnosis

N_BEST_ROWS = 10
MAX_DIAGNOSIS_ROWS = 200
MAX_PARAM_COLUMNS = 8


@dataclass(frozen=True)
class Table:
    """A table of text; the columns named in `left` are aligned to the left, the others to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()
    title: str = ""


def drawn_note(gathered: Gathered) -> str:
    """Return which trials the plots draw; nothing if they draw all."""
    if not gathered.draws_part:
        return ""
    n_drawn = len(gathered.as_optuna.get_trials(deepcopy=False))
    which = "the best ones, those that were the best so far, the newest, and an even spread of the others"
    return f"The plots draw {n_drawn:,} of {len(gathered.trials):,} trials: {which}. Importances and shares count all."


def tiles(gathered: Gathered) -> list[tuple[str, str]]:
    """Return the figures at the top of the page, each with its caption."""
    counts, definition = gathered.study.trial_counts, gathered.study.definition
    n_done = counts.COMPLETE + counts.PRUNED + counts.FAIL
    shown: list[tuple[str, str]] = []
    best = gathered.best[0] if gathered.best else None
    if best is not None and best.values and not gathered.has_several_objectives:
        shown.append((number(best.values[0]), f"best {definition.objectives[0].metric}, trial {best.number}"))
    elif best is not None:
        shown.append((str(len(gathered.best)), "trials on the Pareto front"))
    shown.append((f"{n_done} of {definition.n_trials}", "trials are done"))
    shown += [(str(counts.COMPLETE), "complete"), (str(counts.PRUNED), "pruned"), (str(counts.FAIL), "failed")]
    shown += [(str(count), word) for count, word in ((counts.RUNNING, "running"), (counts.WAITING, "waiting")) if count]
    if gathered.study.trials_per_hour is not None:
        shown.append((f"{gathered.study.trials_per_hour:,.0f}", "trials an hour"))
    return shown


def best_table(gathered: Gathered) -> Table | None:
    """Return the best trials with their parameters; None without a complete trial."""
    if not gathered.best:
        return None
    trials = gathered.best[:N_BEST_ROWS]
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    in_columns = len(params) <= MAX_PARAM_COLUMNS
    rows = []
    for trial in trials:
        cells = [number(trial.params[name], 3) if name in trial.params else "" for name in params]
        epochs = "" if trial.step is None else str(trial.step + 1)
        values = [number(value) for value in trial.values or []]
        shown = cells if in_columns else [params_line(trial.params)]
        rows.append([str(trial.number), *values, *shown, epochs, seconds(trial.duration_seconds)])
    columns = ["trial", *metrics_of(gathered.study), *(params if in_columns else ["params"]), "epochs", "time"]
    return Table(columns, rows, left=["params"])


def verdicts(diagnosis: Diagnosis) -> list[tuple[str, int]]:
    """Return each verdict that a trial has, with the number of its trials."""
    return [(verdict, count) for verdict, count in diagnosis.counts.model_dump().items() if count]


def verdict_table(diagnosis: Diagnosis) -> Table:
    """Return the verdict on each of the newest trials, with the figures that it rests on."""
    shown = diagnosis.trials[-MAX_DIAGNOSIS_ROWS:]
    rows = []
    for trial in shown:
        figures = (trial.train, trial.validation, trial.gap, trial.fall)
        cells = ["" if figure is None else number(figure, 3) for figure in figures]
        rows.append([str(trial.number), trial.verdict, str(trial.n_epochs), *cells, trial.because])
    title = "All trials" if len(shown) == len(diagnosis.trials) else f"The newest {len(shown)} trials"
    columns = ["trial", "verdict", "epochs", "train", "validation", "gap", "fall", "why"]
    return Table(columns, rows, left=["verdict", "why"], title=title)
