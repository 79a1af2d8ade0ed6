"""`narrows import`: trials from elsewhere for a study's sampler."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.options import with_client
from narrows.cli.terminal import say
from narrows.errors import CommandError

if TYPE_CHECKING:
    from service.client import Client
    from service.schemas.study.definition import Definition

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_URL",
        help="CSV file, or URL of an Optuna database such as sqlite:///optuna.db.",
        show_default=False,
    ),
]
Into = Annotated[
    str, typer.Option("--into", metavar="STUDY", help="Study whose sampler learns from the trials.", show_default=False)
]
SourceStudy = Annotated[
    str | None,
    typer.Option("--source-study", help="Name of the study in the database.", show_default="the only one there"),
]


@with_client
def import_trials(client: "Client", source: Source, into: Into, source_study: SourceStudy = None) -> None:
    """Give a study's sampler the trials of a CSV file or of an Optuna database to learn from."""
    definition = client.study(into).definition
    if "://" in source:
        new = _import_of_database(source, source_study, definition)
    elif source_study is not None:
        raise typer.BadParameter("--source-study needs a database: a CSV file has one study")
    else:
        new = _import_of_file(Path(source), definition)
    made = client.import_trials(into, new)
    reasons = {name: n for name, n in made.left_out.model_dump().items() if n}
    left_out = ", ".join(f"{n} because of their {name}" for name, n in reasons.items())
    say(f"{into} learns from {made.n_trials} trials of {made.source}" + (f"; left out: {left_out}" if reasons else ""))


def _import_of_file(file: Path, definition: "Definition") -> dict[str, Any]:
    from narrows.cli.csv_trials import CsvError, read_csv

    try:
        trials = read_csv(file.read_text(encoding="utf-8-sig"), definition)
    except (CsvError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from error
    return {"source": file.name, "trials": trials}


def _import_of_database(url: str, name: str | None, definition: "Definition") -> dict[str, Any]:
    from service.schemas.optuna import described, imported
    from storage import StorageError
    from storage.optuna_databases import read_study

    try:
        study = read_study(url, name)
    except StorageError as error:
        raise CommandError(str(error)) from error
    theirs = [direction.name.lower() for direction in study.directions]
    ours = [objective.direction for objective in definition.objectives]
    if theirs != ours:
        raise CommandError(
            f"directions must be those of {definition.name} ({', '.join(ours)}): {study.name} has {', '.join(theirs)}"
        )
    trials = list(study.trials)
    distributions = {key: described(one) for trial in trials for key, one in trial.distributions.items()}
    unread = {"last_step", "last_value"} if len(ours) > 1 else set()
    return {
        "source": f"study {study.name} of Optuna",
        "distributions": {key: one.model_dump(mode="json") for key, one in distributions.items()},
        "trials": [imported(trial).model_dump(mode="json", exclude_none=True, exclude=unread) for trial in trials],
    }
