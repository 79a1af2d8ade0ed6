"""`narrows logs`: the output of the code of a trial with an entrypoint or a command."""

import re
import sys
import tempfile
import time
from codecs import getincrementaldecoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from narrows.cli.options import StudyName, with_client
from narrows.cli.terminal import complain
from narrows.errors import CommandError
from service.schemas.terminal_text import SEQUENCE, printable

if TYPE_CHECKING:
    from service.client import Client

Number = Annotated[int, typer.Argument(metavar="N", min=0, help="Number of the trial.", show_default=False)]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow", help="Print new output until the trial has ended; wait for the trial if it has not begun."
    ),
]

Attempt = Annotated[
    int | None,
    typer.Option("--attempt", metavar="K", min=1, help="The attempt, from 1; the last one unless given."),
]

POLL_SECONDS = 1.0
LAST_POLLS = 3
"""Polls after the end of the trial, because its worker may still be sending the last output."""
DROPPED = re.compile(rb"(\[[^\n]*\]\n)?\[the first (\d+) bytes are not kept\]\n")
"""The beginning of output that has lost its own: the worker's heading, if there is one, and how much is missing."""


@with_client
def logs(client: "Client", study: StudyName, trial: Number, follow: Follow = False, attempt: Attempt = None) -> None:
    """Show the output of a trial with an entrypoint or a command. It arrives a few seconds late.

    It is the output of the trial's last attempt. Of the attempts before, that of five is kept.
    """
    if follow and attempt is not None:
        raise typer.BadParameter("--follow shows the last attempt: leave out --attempt")
    if follow:
        _await_trial(client, study, trial)
    client.trial(study, trial)  # an error if there is no such trial
    printer = OutputPrinter()
    printer.print_new(output_of(client, study, trial, attempt))
    if follow:
        _follow(client, study, trial, printer)


def _await_trial(client: "Client", study: str, number: int) -> None:
    """Wait until the trial is there, as long as the study may still make it."""
    from service.client import ServiceError

    is_told = False
    while True:
        try:
            client.trial(study, number)
        except ServiceError as error:
            current = client.study(study)
            is_to_come = current.state in ("running", "paused") and number < current.definition.n_trials
            if error.code != "trial_not_found" or not is_to_come:
                raise
        else:
            return
        if not is_told:
            complain(f"waiting until trial {number} of {study} begins")
            is_told = True
        time.sleep(POLL_SECONDS)


def _follow(client: "Client", study: str, number: int, printer: "OutputPrinter") -> None:
    n_polls = 0
    while n_polls < LAST_POLLS:
        time.sleep(POLL_SECONDS)
        is_over = client.trial(study, number).state not in ("WAITING", "RUNNING")
        is_new = printer.print_new(output_of(client, study, number))
        if is_over and is_new:
            return
        n_polls += is_over


def output_of(client: "Client", study: str, number: int, attempt: int | None = None) -> bytes:
    """Return the output that the service has so far, of the last attempt unless another one is given.

    Raises CommandError if it has no output of this attempt.
    """
    from service.schemas.artifacts import OUTPUT, earlier_output

    outputs = {
        artifact.attempt: artifact.name
        for artifact in client.artifacts(study, number)
        if artifact.name in (OUTPUT, earlier_output(artifact.attempt))
    }
    if attempt is not None and attempt not in outputs:
        kept = ", ".join(map(str, sorted(outputs))) or "none"
        raise CommandError(f"no output of attempt {attempt} of trial {number} is kept; attempts with output: {kept}")
    name = OUTPUT if attempt is None else outputs[attempt]
    if name not in outputs.values():
        return b""
    with tempfile.TemporaryDirectory(prefix="narrows-") as folder:
        path = Path(folder, "output")
        client.download_artifact(study, number, name, path)
        return path.read_bytes()


class OutputPrinter:
    """Prints the output that is new. Shorter output is that of a new attempt, and is printed from its start.

    A last line that was written anew, as by a progress bar, is printed after a carriage return.
    """

    def __init__(self) -> None:
        self._n_bytes = 0
        self._line = b""
        """The last line that was printed, which is not over yet."""
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")

    def print_new(self, content: bytes) -> bool:
        """Print the new part of `content`, and return whether there was one."""
        first = DROPPED.match(content)
        start = 0 if first is None else len(first[1] or b"") + int(first[2])
        text = content if first is None else content[first.end() :]
        line_start = self._n_bytes - len(self._line)
        if start + len(text) < line_start or (start + len(text) < self._n_bytes and not self._line):
            self._n_bytes, line_start, self._line = 0, 0, b""
            self._decoder.reset()
        is_anew = self._line and line_start >= start and not text[line_start - start :].startswith(self._line)
        if is_anew:
            new = b"\r" + text[line_start - start :]
        else:
            new = text[max(0, self._n_bytes - start) :] if self._n_bytes else content
        self._line = text.rpartition(b"\n")[2]
        sys.stdout.buffer.write(self._shown(new).encode() if sys.stdout.isatty() else new)
        sys.stdout.flush()
        self._n_bytes = start + len(text)
        return bool(new)

    def _shown(self, new: bytes) -> str:
        """New output for a terminal: without colours, and with a line for each update of a progress bar."""
        text = SEQUENCE.sub("", self._decoder.decode(new))
        return printable(text.replace("\r\n", "\n").replace("\r", "\n").expandtabs())
