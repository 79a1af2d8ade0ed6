from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.errors import CommandError
from service.cli.options import DEFAULT, Server, StudyName, Token

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the page.", show_default=False)]


def report(study: StudyName, out: Out, server: Server = DEFAULT["server"], token: Token = DEFAULT["token"]) -> None:
    """Write a study as one HTML page that needs no network: plots, curves, and what to change next."""
    from service.client import Client

    try:
        from service.report.gather import gather
        from service.report.page import page
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("plotly", "safetensors"):
            raise
        raise CommandError(f"a report needs {package}: pip install 'narrows[report]'") from error
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with Client(server, token) as client:
        document = page(gather(client, study), datetime.now(UTC))
    out.mkdir(parents=True, exist_ok=True)
    file = out / "index.html"
    file.write_text(document, encoding="utf-8")
    print(f"The report of {study} is in {file}")
