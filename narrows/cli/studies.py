"""`narrows studies`, `pause`, `resume`, `stop`, `extend` and `delete`: studies and their state; `narrows workers`."""

from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.confirmation import Yes, confirm
from narrows.cli.options import AsJson, StudyName, with_client
from narrows.cli.terminal import say

if TYPE_CHECKING:
    from service.client import Client

NTrials = Annotated[
    int | None,
    typer.Option("--n-trials", min=1, help="The new number of trials, larger than before.", show_default=False),
]
MaxTotalEpochs = Annotated[
    int | None,
    typer.Option("--max-total-epochs", min=1, help="The new limit on epochs, larger than before.", show_default=False),
]
MaxDeviceHours = Annotated[
    float | None,
    typer.Option(
        "--max-device-hours", min=0, help="The new limit on device hours, larger than before.", show_default=False
    ),
]


@with_client
def studies(client: "Client", as_json: AsJson = False) -> None:
    """List the studies with their state, trial counts and best value."""
    from narrows.cli.output import console, print_json, study_table

    if as_json:
        print_json(client.get("studies"))
    elif listed := list(client.studies()):
        console().print(study_table(listed))
    else:
        say("There are no studies yet: narrows submit FILE creates one.")


@with_client
def workers(client: "Client", as_json: AsJson = False) -> None:
    """List the workers, the last seen first: what they train on, and what share of their time they have trained."""
    from narrows.cli.output import console, print_json, worker_table

    if as_json:
        print_json(client.get("workers"))
    elif listed := client.workers().workers:
        console().print(worker_table(listed))
    else:
        say("No worker has claimed a trial yet: narrows worker starts some.")


@with_client
def pause(client: "Client", study: StudyName) -> None:
    """Pause a study: workers get no new trials of it, and running trials continue."""
    say(f"{study} is {client.change(study, state='paused').state}")


@with_client
def resume(client: "Client", study: StudyName) -> None:
    """Continue a paused or stopped study."""
    say(f"{study} is {client.change(study, state='running').state}")


@with_client
def stop(client: "Client", study: StudyName) -> None:
    """Stop a study: its running trials end too."""
    say(f"{study} is {client.change(study, state='stopped').state}")


@with_client
def extend(
    client: "Client",
    study: StudyName,
    n_trials: NTrials = None,
    max_total_epochs: MaxTotalEpochs = None,
    max_device_hours: MaxDeviceHours = None,
) -> None:
    """Give a study more trials, epochs or device hours. A finished study runs again."""
    from service.client.text import counted, used_of

    if n_trials is None and max_total_epochs is None and max_device_hours is None:
        raise typer.BadParameter("--n-trials, --max-total-epochs or --max-device-hours must be given")
    changed = client.change(
        study, n_trials=n_trials, max_total_epochs=max_total_epochs, max_device_hours=max_device_hours
    )
    say(", ".join([f"{study} is {changed.state}", counted(changed.definition.n_trials, "trial"), *used_of(changed)]))


@with_client
def delete(client: "Client", study: StudyName, yes: Yes = False) -> None:
    """Delete a study with its trials, their files and its final evaluations."""
    confirm(f"Delete study {study} with all its trials and their files?", yes=yes)
    client.delete(study)
    say(f"{study} is deleted")
