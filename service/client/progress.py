"""The progress of a study: a live display in a terminal or notebook, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.client.text import metrics_of, number, params_line, seconds, used_of
from service.schemas.results import Study
from service.schemas.terminal_text import one_line

POLL_SECONDS = 0.5
LINE_SECONDS = 5.0
NOTEBOOK_COLUMNS = 110
PREFORMATTED = '<pre style="line-height:normal;font-family:monospace">{code}</pre>'
ENDED = ("finished", "stopped")

Shown = TypeVar("Shown", bound=Study)


def follow(fetch: Callable[[], Shown], console: Console, *, sleep: Callable[[float], None] = time.sleep) -> Shown:
    """Show a study until it has ended or the service has paused it, and return it as it is then."""
    with display_on(console) as show:
        study = fetch()
        show(study)
        while not has_ended(study):
            sleep(POLL_SECONDS)
            study = fetch()
            show(study)
    console.print(closing_line(study), markup=False, emoji=False)
    if study.data is not None:
        console.print(f"Data: {one_line(study.data)}", markup=False, emoji=False)
    return study


def has_ended(study: Study) -> bool:
    """Whether no more trials will start unless a user acts: a study that a user has paused may go on by itself."""
    return study.state in ENDED or (study.state == "paused" and study.state_reason is not None)


@contextmanager
def display_on(console: Console) -> Iterator[Callable[[Study], None]]:
    """A function that shows the present state of a study, in the way that suits the console."""
    if console.is_jupyter:
        yield NotebookDisplay().show
    elif console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda study: live.update(panel(study), refresh=True)
    else:
        yield LineDisplay(console).show


class NotebookDisplay:
    """Replaces one output of a notebook's cell. Every notebook can do this, also without widgets."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, study: Study) -> None:
        """Show a study in place of what was shown before."""
        from IPython.display import display

        bundle = _html_and_text(panel(study))
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


def _html_and_text(shown: RenderableType) -> dict[str, str]:
    paper = Console(file=StringIO(), record=True, width=NOTEBOOK_COLUMNS, force_jupyter=False)
    paper.print(shown)
    html = paper.export_html(code_format=PREFORMATTED, inline_styles=True, clear=False)
    return {"text/html": html, "text/plain": paper.export_text()}


class LineDisplay:
    """Prints a line if trials have ended since the last one or no trial can start, at most every LINE_SECONDS."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._shown: tuple[int, str | None] = (-1, None)
        self._printed_at = float("-inf")

    def show(self, study: Study) -> None:
        """Print a line about a study, if it is due."""
        done, now = n_done(study), self._clock()
        if (done, study.waits_for) == self._shown or now - self._printed_at < LINE_SECONDS:
            return
        self._shown, self._printed_at = (done, study.waits_for), now
        self._console.print(line(study), soft_wrap=True, markup=False, emoji=False)


def n_done(study: Study) -> int:
    """Number of trials that have ended."""
    counts = study.trial_counts
    return counts.COMPLETE + counts.PRUNED + counts.FAIL


def seconds_left(study: Study) -> float | None:
    """Estimated seconds to the end of the study; None if it is not running, and as long as trials have only failed."""
    n_trained = study.trial_counts.COMPLETE + study.trial_counts.PRUNED
    if not study.trials_per_hour or study.state != "running" or n_trained == 0:
        return None
    return (study.definition.n_trials - n_done(study)) / study.trials_per_hour * 3600


def line(study: Study) -> str:
    """The progress of a study in one line."""
    counts = study.trial_counts
    parts = [
        f"{study.name}: {n_done(study)}/{study.definition.n_trials} trials done",
        f"{counts.RUNNING} running",
        f"{counts.PRUNED} pruned",
        f"{counts.FAIL} failed",
        *_best(study),
        *used_of(study),
        *_speed(study),
        *(text for text in (study.waits_for, study.sampler_note) if text is not None),
    ]
    return one_line(", ".join(parts))


def panel(study: Study) -> RenderableType:
    """The live display of a study: a bar, the counts, and the best trial."""
    counts, n_trials = study.trial_counts, study.definition.n_trials
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(
        Text(study.name, style="bold"),
        ProgressBar(total=n_trials, completed=n_done(study), width=40),
        f"{n_done(study)}/{n_trials}",
        Text("  ".join(_speed(study)), style="dim"),
    )
    counted = Text("" if study.state == "running" else f"{study.state}   ", style="yellow")
    counted.append(f"{counts.COMPLETE} complete", style="green")
    counted.append(
        f"   {counts.RUNNING} running   {counts.WAITING} waiting   {counts.PRUNED} pruned   ", style="default"
    )
    counted.append(f"{counts.FAIL} failed", style="red" if counts.FAIL else "default")
    rows: list[RenderableType] = [bar, counted]
    rows += [Text("   ".join(used))] if (used := used_of(study)) else []
    rows += [Text(one_line(text), style="yellow") for text in (study.waits_for, study.sampler_note) if text is not None]
    if study.best is not None:
        best, params = one_line("  ".join(_best(study))), one_line(params_line(study.best.params))
        rows += [Text(best, style="bold"), Text(params, style="dim")]
    return Group(*rows)


def closing_line(study: Study) -> str:
    """How a study ended, in one line."""
    counts = study.trial_counts
    why = study.state_reason or study.finished_reason
    reason = f" ({one_line(why)})" if why else ""
    took = ""
    if study.started_at is not None and study.finished_at is not None:
        took = f" after {seconds((study.finished_at - study.started_at).total_seconds())}"
    return (
        f"{study.name} is {study.state}{took}{reason}: "
        f"{counts.COMPLETE} complete, {counts.PRUNED} pruned, {counts.FAIL} failed"
        f"{_next_step(study)}"
    )


def _next_step(study: Study) -> str:
    if study.state != "paused" or not has_ended(study):
        return ""
    return f"; narrows resume {study.name} goes on, narrows retry {study.name} tries the failed trials again"


def _best(study: Study) -> list[str]:
    if study.best is None or not study.best.values:
        return []
    return [f"best {metrics_of(study)[0]} {number(study.best.values[0])} (trial {study.best.number})"]


def _speed(study: Study) -> list[str]:
    left = seconds_left(study)
    rate = [] if study.trials_per_hour is None else [f"{study.trials_per_hour:,.0f} trials/hour"]
    return rate if left is None else [*rate, f"{seconds(left)} left"]
