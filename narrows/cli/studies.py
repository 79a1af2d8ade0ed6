"""`narrows studies`, `pause`, `resume` and `stop`: studies and their state."""

from typing import TYPE_CHECKING

from narrows.cli.options import AsJson, StudyName, with_client
from narrows.cli.terminal import say

if TYPE_CHECKING:
    from service.client import Client


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
