"""`narrows report`: a study as an HTML page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import StudyName, with_client
from narrows.cli.terminal import say
from narrows.errors import CommandError

if TYPE_CHECKING:
    from service.client import Client

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder to write the page to, as index.html.", show_default=False)
]


@with_client
def report(client: "Client", study: StudyName, out: Out) -> None:
    """Write a study as one HTML page with plots, curves and what to change next. The page needs no network."""
    check_installed()
    file = write_report(client, study, out)
    say(f"The report of {study} is in {file}")


def check_installed() -> None:
    """Raise CommandError when a package that a report needs is missing."""
    try:
        import narrows.html_report.gather
        import narrows.html_report.page  # noqa: F401
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("plotly", "safetensors"):
            raise
        raise CommandError(f"a report needs {package}: pip install 'narrows[report]'") from error


def write_report(client: "Client", study: str, out: Path) -> Path:
    """Write the page of a study into a folder, which is created if it is missing, and return the file."""
    import optuna

    from narrows.html_report.gather import gather
    from narrows.html_report.page import render_page

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    document = render_page(gather(client, study), datetime.now(UTC))
    out.mkdir(parents=True, exist_ok=True)
    file = out / "index.html"
    file.write_text(document, encoding="utf-8")
    return file
