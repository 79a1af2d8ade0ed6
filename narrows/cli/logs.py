import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import DEFAULT, Server, StudyName, Token

if TYPE_CHECKING:
    from service.client import Client

Number = Annotated[int, typer.Argument(metavar="N", min=0, help="Number of the trial.", show_default=False)]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until the trial has ended.")]

POLL_SECONDS = 1.0
LAST_POLLS = 3
"""How often to look after the end of the trial: its worker may just be sending the last of its output."""
CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What makes a terminal do more than show text: it is somebody else's code that wrote it."""
DROPPED = re.compile(rb"\[the first (\d+) bytes are not kept\]\n")


def logs(
    study: StudyName,
    trial: Number,
    follow: Follow = False,
    server: Server = DEFAULT["server"],
    token: Token = DEFAULT["token"],
) -> None:
    """Show what the code of a trial with an entrypoint has written, of its last attempt; a few seconds late."""
    from service.client import Client

    with Client(server, token) as client:
        client.trial(study, trial)  # or there is none
        shown = Shown()
        shown.show(output_of(client, study, trial))
        if follow:
            _follow(client, study, trial, shown)


def _follow(client: "Client", study: str, number: int, shown: "Shown") -> None:
    n_polls = 0
    while n_polls < LAST_POLLS:
        time.sleep(POLL_SECONDS)
        is_over = client.trial(study, number).state not in ("WAITING", "RUNNING")
        is_new = shown.show(output_of(client, study, number))
        if is_over and is_new:
            return
        n_polls += is_over


def output_of(client: "Client", study: str, number: int) -> bytes:
    """What there is of it so far."""
    if "output" not in [artifact.name for artifact in client.artifacts(study, number)]:
        return b""
    with tempfile.TemporaryDirectory(prefix="narrows-") as folder:
        path = Path(folder, "output")
        client.download_artifact(study, number, "output", path)
        return path.read_bytes()


class Shown:
    """Writes what was not written before. A next attempt's output, which is shorter, is shown from its beginning."""

    def __init__(self) -> None:
        self._n_bytes = 0

    def show(self, content: bytes) -> bool:
        """Whether there was anything new."""
        first = DROPPED.match(content)
        start = 0 if first is None else int(first[1])
        text = content if first is None else content[first.end() :]
        if start + len(text) < self._n_bytes:
            self._n_bytes = 0
        new = text[max(0, self._n_bytes - start) :] if self._n_bytes else content
        sys.stdout.buffer.write(CONTROL.sub(b"", new) if sys.stdout.isatty() else new)
        sys.stdout.flush()
        self._n_bytes = start + len(text)
        return bool(new)
