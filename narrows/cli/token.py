import re
import sys
from typing import Annotated

import typer

from narrows.cli.options import DEFAULT, AsJson, Server, Token

app = typer.Typer(help="Make, list and revoke the tokens of a service.", no_args_is_help=True, rich_markup_mode=None)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if found is None:
        raise typer.BadParameter(f"must be a number and one of s, m, h, d, w, such as 30d: {text}")
    return int(found[1]) * UNITS[found[2]]


Scopes = Annotated[
    list[str],
    typer.Option(
        "--scope",
        help="What it opens: read; submit, which includes read; work, for workers; admin, for all. Or several: a,b.",
        show_default=False,
    ),
]
NewName = Annotated[str, typer.Option("--name", help="A name to know it by.", show_default=False)]
ExpiresIn = Annotated[
    int | None,
    typer.Option("--expires-in", metavar="TIME", parser=_seconds, help="How long it is valid, such as 12h or 30d."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token.", show_default=False)]


@app.command()
def create(
    scope: Scopes,
    name: NewName,
    expires_in: ExpiresIn = None,
    server: Server = DEFAULT["server"],
    token: Token = DEFAULT["token"],
) -> None:
    """Make a token and print it. It is shown this once; the service keeps a hash of it.

    The first one is made on the service's machine; from then on, every call needs a token.
    """
    from service.client import Client
    from service.client.text import utc

    with Client(server, token) as client:
        made = client.create_token(name, [word for words in scope for word in words.split(",")], expires_in)
    print(made.token)
    until = "" if made.expires_at is None else f", valid until {utc(made.expires_at)} UTC"
    _note(f"{made.name} opens {', '.join(made.scopes)}{until}. The token is not shown again.")
    if not token:
        _note("From now on every call needs a token: --token or NARROWS_TOKEN.")
        if "admin" not in made.scopes:
            _note("No token is an admin's yet: narrows token create --scope admin --name NAME")


def _note(line: str) -> None:
    print(line, file=sys.stderr)


@app.command("list")
def list_tokens(as_json: AsJson = False, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """List the tokens, without their secrets."""
    from narrows.cli.output import console, print_json, token_table
    from service.client import Client

    with Client(server, token) as client:
        if as_json:
            print_json(client.get("tokens"))
        elif found := client.tokens():
            console().print(token_table(found))
        else:
            print("There are no tokens yet: narrows token create --scope admin --name NAME makes one.")


@app.command()
def revoke(name: Name, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """End a token at once."""
    from service.client import Client

    with Client(server, token) as client:
        print(f"{client.revoke_token(name).name} is revoked")
