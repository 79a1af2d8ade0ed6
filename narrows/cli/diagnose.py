"""`narrows diagnose`: the verdict on each trial's learning curves."""

from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import AsJson, StudyName, with_client
from narrows.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from service.client import Client
    from service.schemas.diagnosis import Diagnosis, TrialDiagnosis

Limit = Annotated[int, typer.Option("--limit", min=1, help="Largest number of trials to show.")]


@with_client
def diagnose(client: "Client", study: StudyName, limit: Limit = 30, as_json: AsJson = False) -> None:
    """Show which trials overfit, underfit or diverged, judged by their learning curves, and what to change next."""
    from narrows.cli.output import console, print_json
    from service.client import quoted
    from service.client.text import counted

    if as_json:
        print_json(client.get(f"studies/{quoted(study)}/diagnosis"))
        return
    found = client.diagnosis(study)
    if not found.trials:
        say(f"No trial of {study} has begun yet.")
        return
    out = console()
    shown = _worst_first(found)[:limit]
    out.print(diagnosis_table(shown))
    out.print(f"\n{_counted(found)}, by {found.train_metric} and {found.validation_metric}.")
    if len(shown) < len(found.trials):
        are = "This is" if len(shown) == 1 else "These are"
        out.print(f"{are} {len(shown)} of {len(found.trials)} trials: --limit shows more.")
    if found.n_left_out:
        were = "was" if found.n_left_out == 1 else "were"
        out.print(f"{counted(found.n_left_out, 'older trial')} {were} not examined.")
    out.print("\nWhat to change next", style="bold")
    for advice in found.advice:
        out.print(f"  - {advice.message}", soft_wrap=True)


def diagnosis_table(trials: "Sequence[TrialDiagnosis]") -> "Table":
    """Return a table with a row for each trial: its verdict, the figures behind it, and the reason."""
    from rich.text import Text

    from narrows.cli.output import plain_table
    from service.client.text import number

    table = plain_table()
    for name in ("trial", "verdict", "epochs", "train", "validation", "gap", "fall", "why"):
        table.add_column(name, justify="left" if name in ("verdict", "why") else "right", overflow="fold")
    for trial in trials:
        figures = (trial.train, trial.validation, trial.gap, trial.fall)
        cells = ["" if figure is None else number(figure, 3) for figure in figures]
        verdict = Text(trial.verdict, style=STYLES[trial.verdict])
        table.add_row(str(trial.number), verdict, str(trial.n_epochs), *cells, Text(trial.because))
    return table


STYLES = {"diverged": "red", "overfitting": "yellow", "underfitting": "cyan", "healthy": "green", "unclear": "dim"}


def _worst_first(found: "Diagnosis") -> "list[TrialDiagnosis]":
    order = list(STYLES)
    return sorted(found.trials, key=lambda trial: (order.index(trial.verdict), trial.number))


def _counted(found: "Diagnosis") -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in found.counts.model_dump().items() if count)
