"""How studies, trials and tokens look in a terminal."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from service.client import Client
from service.client.text import number, params_line, seconds, utc
from service.schemas.results import Study, Trial
from service.schemas.terminal_text import one_line, printable, printable_json
from service.schemas.tokens import Token
from service.schemas.workers import Worker

MAX_PARAM_COLUMNS = 6
TRACEBACK = "Traceback (most recent call last):"
WIDE = 200
"""Columns when the output is not a terminal: enough to keep most rows on one line."""


class TextConsole(Console):
    """A console for users' text: brackets and `:words:` are printed as they are, control characters as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text, made printable before its width is measured."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of anything that is printed, texts with styles of their own included."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def console() -> Console:
    """Return the console of standard output."""
    return TextConsole(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False, emoji=False)


def print_json(text: str) -> None:
    """Print JSON text from the API as it is; to a terminal with control characters as escapes of JSON."""
    shown = printable_json(text) if sys.stdout.isatty() else text
    sys.stdout.write(shown if shown.endswith("\n") else f"{shown}\n")


def trial_table(metrics: Sequence[str], trials: Sequence[Trial], *, states: bool, title: str | None = None) -> Table:
    """Return a table with a row for each trial: objective values, parameters, epochs and duration.

    With `states` it also has state and reason, and trials without objective values show the last reported ones.
    """
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    in_columns = len(params) <= MAX_PARAM_COLUMNS
    table = plain_table(title)
    table.add_column("trial", justify="right")
    if states:
        table.add_column("state")
    for name in (*metrics, *(params if in_columns else ()), "epochs", "time"):
        table.add_column(_header(name), justify="right", overflow="fold", vertical="bottom")
    if not in_columns:
        table.add_column("params", overflow="fold")
    if states:
        table.add_column("reason", overflow="fold")
    for trial in trials:
        shown = [_cell(trial, name) for name in params] if in_columns else []
        line = [] if in_columns else [params_line(trial.params)]
        values = [number(value) for value in trial.values] if trial.values else [_last(trial, name) for name in metrics]
        epochs = "" if trial.step is None else str(trial.step + 1)
        cells = [*values, *shown, epochs, seconds(trial.duration_seconds), *line]
        row = [str(trial.number), *([trial.state, *cells, _notes(trial)] if states else cells)]
        table.add_row(*row)
    return table


def _last(trial: Trial, metric: str) -> str:
    """Return the last reported value of a trial that is running, paused or pruned."""
    return f"last {number(trial.metrics[metric])}" if trial.state != "FAIL" and metric in trial.metrics else ""


def _notes(trial: Trial) -> str:
    """Return which trial this one tries again, why it is no result, and which enqueued values it has not used."""
    again = [] if trial.retry_of is None else [f"retry of trial {trial.retry_of}"]
    unused = [f"not used: {params_line(trial.unused_params)}"] if trial.unused_params else []
    return "; ".join(text for text in (*again, _reason(trial), *unused) if text)


def _reason(trial: Trial) -> str:
    """Return why a trial failed, counts as no result, or waits: one line, the error alone of a traceback."""
    if trial.paused_at_rung is not None:
        return f"paused at rung {trial.paused_at_rung}"
    lines = (trial.reason or "").strip().splitlines()
    if lines:
        return " ".join(line.strip() for line in _without_traceback(lines))
    return f"violates {', '.join(trial.violated)}" if trial.violated else ""


def _without_traceback(lines: list[str]) -> list[str]:
    """The lines after the last place in the code that a traceback names: the error and its message, however long.

    What stands before the traceback stays, such as the rank that failed.
    """
    places = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    if not places:
        return lines
    rest = lines[places[-1] + 1 :]
    source = next((number for number, line in enumerate(rest) if not line.startswith(" ")), 0)
    before = lines[0].partition(TRACEBACK)[0] if TRACEBACK in lines[0] else ""
    return [before, *rest[source:]] if before else rest[source:]


def best_of(client: Client, study: Study, k: int) -> list[Trial]:
    """Return the best k complete trials, best first; with several objectives, k of those that no other trial beats."""
    if len(study.definition.objectives) > 1:
        return client.pareto(study.name)[:k]
    return client.best(study.name, k)


def unfinished_text(metric: str, trial: Trial) -> str:
    """Return a sentence about a pruned or paused trial whose last value is better than that of every complete trial."""
    how = "was pruned" if trial.paused_at_rung is None else "is paused"
    epochs = "" if trial.step is None else f" after epoch {trial.step + 1}"
    value = number(trial.metrics[metric]) if metric in trial.metrics else "unknown"
    return f"Trial {trial.number} {how}{epochs}. No complete trial is as good as its last {one_line(metric)}, {value}."


class TopText(Text):
    """A text at the top of its row, whatever the column says of its header."""

    vertical = "top"


class TextTable(Table):
    """A table of users' text: a cell with line breaks shows them as spaces."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row of cells."""
        super().add_row(*(TopText(one_line(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def plain_table(title: str | None = None) -> Table:
    """Return an empty table in the style of all commands."""
    return TextTable(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _header(name: str) -> str:
    """Return a name on at most two lines, broken at the `_` or `.` nearest to its middle, to keep columns narrow."""
    name = one_line(name)
    breaks = [found for found in re.finditer(r"_|\.(?=[a-z])", name) if found.start() > 0]
    if not breaks:
        return name
    middle = min(breaks, key=lambda found: abs(found.start() - len(name) / 2))
    return f"{name[: middle.start()]}\n{name[middle.end() :]}"


def _cell(trial: Trial, name: str) -> str:
    return number(trial.params[name], 3) if name in trial.params else ""


def study_table(studies: Sequence[Study]) -> Table:
    """Return a table with a row for each study: state, trial counts and the best value of its first objective."""
    table = plain_table()
    for name in ("study", "state"):
        table.add_column(name)
    for name in ("trials", "running", "complete", "pruned", "failed", "best"):
        table.add_column(name, justify="right")
    for study in studies:
        counts = study.trial_counts
        best = "" if study.best is None or not study.best.values else number(study.best.values[0])
        cells = (study.definition.n_trials, counts.RUNNING, counts.COMPLETE, counts.PRUNED, counts.FAIL, best)
        table.add_row(study.name, study.state, *map(str, cells))
    return table


def worker_table(workers: Sequence[Worker]) -> Table:
    """Return a table with a row for each worker: device, versions, trials, and its share of time in training."""
    table = plain_table()
    for name in ("worker", "device", "narrows", "torch"):
        table.add_column(name)
    for name in ("lanes", "running", "training", "idle"):
        table.add_column(name, justify="right")
    table.add_column("last seen (UTC)")
    for worker in workers:
        spent = worker.seconds
        times = (0.0, 0.0) if spent is None else (spent.training, spent.idle)
        cells = [f"{time / spent.whole:.0%}" if spent is not None and spent.whole else "" for time in times]
        counts = (str(worker.n_lanes), str(worker.trials_running))
        versions = [known or "unknown" for known in (worker.narrows_version, worker.torch_version)]
        table.add_row(worker.id, worker.device, *versions, *counts, *cells, utc(worker.last_seen_at))
    return table


def token_table(tokens: Sequence[Token]) -> Table:
    """Return a table with a row for each token: scopes and times, without the secret."""
    table = plain_table()
    for name in ("token", "scopes", "created (UTC)", "expires", "revoked", "last used"):
        table.add_column(name)
    for token in tokens:
        times = (token.created_at, token.expires_at, token.revoked_at, token.last_used_at)
        table.add_row(token.name, ", ".join(token.scopes), *map(utc, times))
    return table
