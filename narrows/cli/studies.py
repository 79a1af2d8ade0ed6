"""`narrows studies`, `pause`, `resume` and `stop`: studies and their state."""

from typing import Literal

from narrows.cli.options import DEFAULT, AsJson, Server, StudyName, Token


def studies(as_json: AsJson = False, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """List the studies with their state, trial counts and best value."""
    from narrows.cli.output import console, print_json, study_table
    from service.client import Client

    with Client(server, token) as client:
        if as_json:
            print_json(client.get("studies"))
        elif listed := list(client.studies()):
            console().print(study_table(listed))
        else:
            print("There are no studies yet: narrows submit FILE creates one.")


def pause(study: StudyName, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """Pause a study: workers get no new trials of it, and running trials continue."""
    _change(study, "paused", server, token)


def resume(study: StudyName, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """Continue a paused or stopped study."""
    _change(study, "running", server, token)


def stop(study: StudyName, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """Stop a study: its running trials end too."""
    _change(study, "stopped", server, token)


def _change(name: str, state: Literal["paused", "running", "stopped"], server: str, token: str | None) -> None:
    from service.client import Client

    with Client(server, token) as client:
        print(f"{name} is {client.change(name, state=state).state}")
