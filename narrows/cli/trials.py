"""`narrows trials`, `best`, `export` and `model`: the results of a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from narrows.cli.options import AsJson, StudyName, with_client
from narrows.cli.terminal import say, say_pieces

if TYPE_CHECKING:
    from service.client import Client

State = Annotated[
    Literal["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"] | None,
    typer.Option("--state", help="Only trials in this state.", case_sensitive=False, show_default="any state"),
]
OrderBy = Annotated[
    str,
    typer.Option(
        "--order-by",
        help="Field to sort by: number, value, started_at or duration_seconds. A minus before it reverses the order.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Largest number of trials to show.")]
K = Annotated[int, typer.Option("-k", min=1, help="Number of trials to show.")]
Format = Annotated[
    Literal["csv", "json", "optuna"] | None,
    typer.Option(
        "--format",
        help="Format of the file. optuna is JSON lines with everything that Optuna stores.",
        show_default="csv",
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where", help='Only trials that match, such as "dropout < 0.3 and state = COMPLETE".', show_default=False
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="URL",
        help="URL of a database to write an Optuna study to, such as sqlite:///optuna.db, instead of a file.",
        show_default=False,
    ),
]
TrialNumber = Annotated[
    int | None, typer.Option("--trial", min=0, help="Number of the trial.", show_default="the best one")
]
ModelOut = Annotated[Path, typer.Option("--out", help="File to write.", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", help="File to write.", show_default="standard output")]


@with_client
def trials(
    client: "Client",
    study: StudyName,
    state: State = None,
    order_by: OrderBy = "number",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List the trials of a study."""
    from narrows.cli.output import console, print_json, trial_table
    from service.client import quoted
    from service.client.text import metrics_of

    if as_json:
        query = {"state": state, "order_by": order_by, "limit": limit}
        print_json(client.get(f"studies/{quoted(study)}/trials", query))
        return
    metrics = metrics_of(client.study(study))
    page = client.trials_page(study, state=state, order_by=order_by, limit=limit)
    console().print(trial_table(metrics, page.trials, states=True))
    if page.next_cursor is not None:
        say(f"These are the first {len(page.trials)}: --limit shows more.")


@with_client
def best(client: "Client", study: StudyName, k: K = 5, as_json: AsJson = False) -> None:
    """Show the best trials of a study, best first. With several objectives: those on the Pareto front."""
    from narrows.cli.output import console, print_json, trial_table, unfinished_text
    from service.client import quoted
    from service.client.text import metrics_of
    from service.schemas.results import BestTrials

    about = client.study(study)
    metrics = metrics_of(about)
    if as_json:
        path = f"studies/{quoted(study)}"
        print_json(client.get(f"{path}/pareto") if len(metrics) > 1 else client.get(f"{path}/best", {"k": k}))
        return
    answer = client.best_trials(study, k) if len(metrics) == 1 else BestTrials(trials=client.pareto(study)[:k])
    if shown := answer.trials:
        console().print(trial_table(metrics, shown, states=False))
    elif about.trial_counts.COMPLETE:
        say(f"None of the {about.trial_counts.COMPLETE} complete trials of {study} satisfies every constraint.")
    else:
        say(f"{study} has no complete trial yet.")
    if answer.better_unfinished is not None:
        say(unfinished_text(metrics[0], answer.better_unfinished))


@with_client
def export(
    client: "Client", study: StudyName, format: Format = None, where: Where = None, out: Out = None, to: To = None
) -> None:
    """Write all trials of a study to a file, to standard output, or to a database that Optuna reads."""
    if to is not None and (format or where or out):
        raise typer.BadParameter("--to writes to a database: it must not be given with --format, --where or --out")
    if to is not None:
        _export_to(client, study, to)
        return
    pieces = client.export(study, format or "csv", where)
    if out is None:
        say_pieces(pieces, is_json=format in ("json", "optuna"))
        return
    first = next(pieces, b"")  # raises before the file is created if there is no such study
    with out.open("wb") as file:
        file.write(first)
        file.writelines(pieces)
    say(f"{'All' if where is None else 'The chosen'} trials of {study} are in {out}")


def _export_to(client: "Client", study: str, url: str) -> None:
    from narrows.errors import CommandError
    from service.client.optuna_copy import directions_of, read
    from service.client.text import counted
    from storage import StorageError
    from storage.optuna_databases import OptunaStudy, write_study

    head, trials = read(client.export(study, "optuna"))
    copy = OptunaStudy(head.study_name, directions_of(head), head.metric_names, head.user_attrs, trials)
    try:
        n_trials = write_study(url, copy)
    except StorageError as error:
        raise CommandError(str(error)) from error
    say(f"Study {study} with {counted(n_trials, 'trial')} is in that database; optuna.load_study reads it")


@with_client
def model(client: "Client", study: StudyName, out: ModelOut, trial: TrialNumber = None) -> None:
    """Download the trained model of a trial to a file.

    It is in the safetensors format if Narrows has trained the model, otherwise in the format of your code.
    """
    number = _best_number(client, study) if trial is None else trial
    if "model" not in [artifact.name for artifact in client.artifacts(study, number)]:
        raise typer.BadParameter(
            f"the model of trial {number} of {study} was not kept (see --keep-models of narrows worker)"
        )
    client.download_artifact(study, number, "model", out)
    say(f"The model of trial {number} of {study} is in {out}")


def _best_number(client: "Client", study: str) -> int:
    if len(client.study(study).definition.objectives) > 1:
        raise typer.BadParameter(f"{study} has several objectives: choose a trial with --trial")
    best_trials = client.best(study, 1)
    if not best_trials:
        raise typer.BadParameter(f"{study} has no complete trial that satisfies its constraints yet")
    return best_trials[0].number
