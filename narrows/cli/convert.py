import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="W&B sweep (YAML, JSON or Python), or a search space of Ray Tune (Python or JSON).",
        show_default=False,
    ),
]
To = Annotated[Path | None, typer.Option("--to", help="File to write, instead of standard output.")]
Name = Annotated[str | None, typer.Option("--name", help="Name of the study.")]
NTrials = Annotated[int | None, typer.Option("--n-trials", help="Trials of the study.", min=1)]
Metric = Annotated[str | None, typer.Option("--metric", help="Metric to optimize.")]
Direction = Annotated[Literal["maximize", "minimize"] | None, typer.Option("--direction", help="Which way is better.")]
Entrypoint = Annotated[
    str | None, typer.Option("--entrypoint", help="Function that trains, as package.module:function.")
]
Space = Annotated[
    str | None, typer.Option("--space", help="Dictionary to take of a Python file that has several of them.")
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
    """Write the definition of a W&B sweep or of Ray Tune's search space as a study definition.

    What has no counterpart is an error that names the field; what differs is a comment. A Python file is not run.
    """
    from narrows.conversion.draft import ConversionError, Given
    from narrows.conversion.files import convert
    from narrows.errors import CommandError

    try:
        text = convert(file, Given(name, entrypoint, metric, direction, n_trials, space))
    except ConversionError as error:
        raise CommandError("\n".join(f"{file}: {line}" for line in error.lines)) from error
    if to is None:
        sys.stdout.write(text)
    else:
        to.write_text(text)
        print(f"The definition is in {to}: narrows submit {to}")
