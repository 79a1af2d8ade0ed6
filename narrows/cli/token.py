"""`narrows token`: create, list and revoke the tokens of a service."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import DEFAULT, AsJson, Server, Token, with_client
from narrows.cli.terminal import complain, say

if TYPE_CHECKING:
    from service.client import Client

app = typer.Typer(help="Create, list and revoke the tokens of a service.", no_args_is_help=True, rich_markup_mode=None)

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
        help="What the token allows: read; submit, which includes read; work, for workers; admin, for everything. "
        "Repeat the flag for several scopes, or separate them by commas.",
        show_default=False,
    ),
]
NewName = Annotated[
    str, typer.Option("--name", help="Name of the token, for the list and to revoke it.", show_default=False)
]
ExpiresIn = Annotated[
    int | None,
    typer.Option(
        "--expires-in",
        metavar="TIME",
        parser=_seconds,
        help="How long the token is valid, such as 12h or 30d.",
        show_default="forever",
    ),
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
    """Create a token and print it. It is shown only once, because the service stores only a hash of it.

    The first token must be created on the service's machine. From then on every call needs a token.
    """
    from service.client import Client
    from service.client.text import utc

    with Client(server, token) as client:
        created = client.create_token(name, [word for words in scope for word in words.split(",")], expires_in)
    say(created.token)
    until = "" if created.expires_at is None else f", valid until {utc(created.expires_at)} UTC"
    complain(f"{created.name} allows {', '.join(created.scopes)}{until}. The token is not shown again.")
    if not token:
        complain("From now on every call needs a token: --token or NARROWS_TOKEN.")
        if "admin" not in created.scopes:
            complain("There is no admin token yet: narrows token create --scope admin --name NAME")


@app.command("list")
@with_client
def list_tokens(client: "Client", as_json: AsJson = False) -> None:
    """List the tokens, without the secrets."""
    from narrows.cli.output import console, print_json, token_table

    if as_json:
        print_json(client.get("tokens"))
    elif listed := client.tokens():
        console().print(token_table(listed))
    else:
        say("There are no tokens yet: narrows token create --scope admin --name NAME creates one.")


@app.command()
@with_client
def revoke(client: "Client", name: Name) -> None:
    """Revoke a token: from now on the service refuses it."""
    say(f"{client.revoke_token(name).name} is revoked")
