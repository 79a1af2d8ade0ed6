"""`narrows narrow`: narrow the ranges of a study around its best trials, or show the rounds so far."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.options import AsJson, StudyName, with_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from service.client import Client
    from service.schemas.rounds import Range, Round

BAR = 32
"""Width of the first round's range, in characters."""

KeepTop = Annotated[
    int | None,
    typer.Option(
        "--keep-top",
        min=1,
        help="Number of best trials that the new ranges are drawn around.",
        show_default="the study's, or 5",
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        min=0,
        max=1,
        help="Margin on each side of them, as a share of the range.",
        show_default="the study's, or 0.1",
    ),
]
Number = Annotated[
    int | None,
    typer.Option(
        "--round",
        min=2,
        help="Number of the round to start, so that a repeated command starts no second one.",
        show_default="the next",
    ),
]
Preview = Annotated[bool, typer.Option("--preview", help="Show the ranges of the next round without starting it.")]
Show = Annotated[bool, typer.Option("--show", help="Show the ranges of every round so far without starting another.")]


@with_client
def narrow(
    client: "Client",
    study: StudyName,
    keep_top: KeepTop = None,
    margin: Margin = None,
    number: Number = None,
    preview: Preview = False,
    show: Show = False,
    as_json: AsJson = False,
) -> None:
    """Start a round that samples from ranges around the best trials, and show the ranges of every round."""
    from narrows.cli.output import console, print_json
    from service.client import quoted

    options: dict[str, Any] = {"keep_top": keep_top, "margin": margin, "round": number, "preview": preview or None}
    given = {name: value for name, value in options.items() if value is not None}
    started = None if show else client.narrow(study, given)
    if as_json:
        print_json(client.get(f"studies/{quoted(study)}/rounds") if started is None else started.model_dump_json())
        return
    preview_only = [started] if started is not None and started.preview else []
    print_rounds([*client.rounds(study), *preview_only], console())


def print_rounds(rounds: "Sequence[Round]", console: "Console") -> None:
    """Print a line for each round of each range, with a bar that shows the range within that of the first round."""
    from narrows.cli.output import plain_table
    from service.client.text import number

    table = plain_table()
    table.add_column("parameter")
    for name in ("round", "low", "high"):
        table.add_column(name, justify="right")
    table.add_column("in the first range", no_wrap=True)
    for name in ("trials", "best"):
        table.add_column(name, justify="right")
    table.add_column("", overflow="fold")
    for name, first in rounds[0].ranges.items():
        for stage in rounds:
            now = stage.ranges[name]
            best = "" if stage.best is None else number(stage.best)
            cells = (number(now.low, 3), number(now.high, 3), bar(first, now), _trials(stage), best, now.note or "")
            table.add_row(name if stage is rounds[0] else "", _title(stage), *cells)
    console.print(table)
    for stage in rounds:
        if stage.note is not None:
            console.print(f"Round {stage.round}: no range was shrunk, {stage.note}", soft_wrap=True)


def bar(first: "Range", now: "Range") -> str:
    """Return a bar of BAR characters with the part that a range has of the first one, on a log scale if it has one."""
    from math import log

    def place(value: float) -> float:
        low, high, at = (log(bound) if first.log else bound for bound in (first.low, first.high, value))
        return BAR * (at - low) / (high - low)

    start = min(BAR - 1, round(place(now.low)))
    end = min(BAR, max(start + 1, round(place(now.high))))
    return "·" * start + "━" * (end - start) + "·" * (BAR - end)


def _title(stage: "Round") -> str:
    return f"{stage.round} (preview)" if stage.began_at is None and stage.round > 1 else str(stage.round)


def _trials(stage: "Round") -> str:
    return str(stage.n_trials) if stage.n_trials else ""
