from typing import Literal

from narrows.cli.options import DEFAULT, AsJson, Server, StudyName, Token


def studies(as_json: AsJson = False, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """List the studies."""
    from narrows.cli.output import console, print_json, study_table
    from service.client import Client

    with Client(server, token) as client:
        if as_json:
            print_json(client.get("studies"))
        elif found := list(client.studies()):
            console().print(study_table(found))
        else:
            print("There are no studies yet: narrows submit FILE makes one.")


def pause(study: StudyName, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """Give no more trials of a study to workers; those that run go on."""
    _change(study, "paused", server, token)


def resume(study: StudyName, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """Go on with a paused or stopped study."""
    _change(study, "running", server, token)


def stop(study: StudyName, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """End a study now; its running trials are stopped."""
    _change(study, "stopped", server, token)


def _change(name: str, state: Literal["paused", "running", "stopped"], server: str, token: str | None) -> None:
    from service.client import Client

    with Client(server, token) as client:
        print(f"{name} is {client.change(name, state=state).state}")
