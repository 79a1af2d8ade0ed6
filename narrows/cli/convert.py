"""`narrows convert`: definitions of other systems as study definitions."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from narrows.cli.terminal import say
from service.schemas.terminal_text import printable

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="W&B sweep (YAML, JSON or Python), or Ray Tune search space (Python or JSON).",
        show_default=False,
    ),
]
To = Annotated[Path | None, typer.Option("--to", help="File to write.", show_default="standard output")]
Name = Annotated[str | None, typer.Option("--name", help="Name of the study.", show_default="that of the file")]
NTrials = Annotated[int | None, typer.Option("--n-trials", help="Number of trials of the study.", min=1)]
Metric = Annotated[str | None, typer.Option("--metric", help="Metric to optimize.")]
Direction = Annotated[
    Literal["maximize", "minimize"] | None, typer.Option("--direction", help="Direction of the metric.")
]
Entrypoint = Annotated[
    str | None,
    typer.Option(
        "--entrypoint", help="Function that trains a trial, as package.module:function, instead of a sweep's program."
    ),
]
Space = Annotated[
    str | None, typer.Option("--space", help="Name of the dictionary to convert, in a Python file with several.")
]


def convert(
    file: File,
    to: To = None,
    name: Name = None,
    n_trials: NTrials = None,
    metric: Metric = None,
    direction: Direction = None,
    entrypoint: Entrypoint = None,
    space: Space = None,
) -> None:
    """Convert a W&B sweep or a Ray Tune search space to a study definition.

    A field that has no counterpart is an error. A difference in meaning is a comment in the output. A Python file is
    read but not run.
    """
    from narrows.errors import CommandError
    from service.conversion.draft import ConversionError, Given
    from service.conversion.files import convert_file

    try:
        text = convert_file(file, Given(name, entrypoint, metric, direction, n_trials, space))
    except ConversionError as error:
        raise CommandError("\n".join(f"{file}: {line}" for line in error.lines)) from error
    if to is None:
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    else:
        to.write_text(text)
        say(f"The definition is in {to}: narrows submit {to}")
