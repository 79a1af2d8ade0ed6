"""`narrows narrow`: let the ranges of a study close in on its best trials, or show how they have."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.options import DEFAULT, AsJson, Server, StudyName, Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from service.schemas.rounds import Range, Round

BAR = 32
"""Characters for the whole of a first range."""

KeepTop = Annotated[
    int | None, typer.Option("--keep-top", min=1, help="Best trials to close in on.", show_default="the study's, or 5")
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        min=0,
        max=1,
        help="Room on either side of them, as a share of the range.",
        show_default="the study's, or 0.1",
    ),
]
Number = Annotated[
    int | None, typer.Option("--round", min=2, help="Round to begin, to be safe to repeat.", show_default="the next")
]
Preview = Annotated[bool, typer.Option("--preview", help="Show what the ranges would be, and change nothing.")]
Show = Annotated[bool, typer.Option("--show", help="Show the ranges of every round so far, and change nothing.")]


def narrow(
    study: StudyName,
    keep_top: KeepTop = None,
    margin: Margin = None,
    number: Number = None,
    preview: Preview = False,
    show: Show = False,
    as_json: AsJson = False,
    server: Server = DEFAULT["server"],
    token: Token = DEFAULT["token"],
) -> None:
    """Sample from ranges around the best trials from now on, and show the ranges of every round."""
    from narrows.cli.output import console, print_json
    from service.client import Client, quoted

    asked: dict[str, Any] = {"keep_top": keep_top, "margin": margin, "round": number, "preview": preview or None}
    with Client(server, token) as client:
        given = {name: value for name, value in asked.items() if value is not None}
        made = None if show else client.narrow(study, given)
        if as_json:
            print_json(client.get(f"studies/{quoted(study)}/rounds") if made is None else made.model_dump_json())
            return
        show_rounds([*client.rounds(study), *([made] if made is not None and made.preview else [])], console())


def show_rounds(rounds: "Sequence[Round]", console: "Console") -> None:
    """A line for each round of each range, with a bar of where it lies in the first one."""
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
        for one in rounds:
            now = one.ranges[name]
            best = "" if one.best is None else number(one.best)
            cells = (number(now.low, 3), number(now.high, 3), bar(first, now), _trials(one), best, now.note or "")
            table.add_row(name if one is rounds[0] else "", _title(one), *cells)
    console.print(table)
    for one in rounds:
        if one.note is not None:
            console.print(f"Round {one.round}: no range was shrunk, {one.note}", soft_wrap=True)


def bar(first: "Range", now: "Range") -> str:
    """Where a range lies in the first one, on its own scale."""
    from math import log

    def place(value: float) -> float:
        low, high, at = (log(each) if first.log else each for each in (first.low, first.high, value))
        return BAR * (at - low) / (high - low)

    start = min(BAR - 1, round(place(now.low)))
    end = min(BAR, max(start + 1, round(place(now.high))))
    return "·" * start + "━" * (end - start) + "·" * (BAR - end)


def _title(one: "Round") -> str:
    return f"{one.round} (preview)" if one.began_at is None and one.round > 1 else str(one.round)


def _trials(one: "Round") -> str:
    return str(one.n_trials) if one.n_trials else ""
