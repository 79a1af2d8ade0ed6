"""The process of a command."""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from workers.user_code.commands.output_scanner import OutputScanner
from workers.user_code.commands.program_reader import ProgramReader, Take
from workers.user_code.conversation import Conversation, InvalidMessageError
from workers.user_code.failures import EXIT_SECONDS
from workers.user_code.outcome import Failed
from workers.user_code.output_tail import OutputTail
from workers.user_code.process import NewProcess, OwnSession
from workers.user_process import program
from workers.user_process.failures import MAX_REASON

LAST_WORDS_SECONDS = 1.0
"""How long the end of its output is read once it is killed: a process that has left its group may hold that open."""
REPORTS, SOCKET = "NARROWS_REPORTS", "NARROWS_SOCKET"


class ProgramProcess(OwnSession):
    """A program with empty standard input. Its output and errors are read apart, and kept together."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        scratch: Path,
        folder: Path,
        environment: Mapping[str, str],
        memory_limit_mib: int | None,
        tail: OutputTail | None = None,
    ) -> None:
        """Start it in the folder. A named pipe and a socket for its reports are made in `scratch`. Raises OSError.

        `tail` is given all that it writes.
        """
        tail = tail or OutputTail(None)
        self._reader = ProgramReader(scratch, tail)
        self._connection, theirs = socket.socketpair()
        alive, lifeline = os.pipe()
        pipes = [os.pipe(), os.pipe()]
        self._outputs = (pipes[0][0], pipes[1][0])
        numbers = (theirs.fileno(), alive, os.getpid(), memory_limit_mib or 0)
        reports = {REPORTS: str(self._reader.reports_path), SOCKET: str(self._reader.socket_path)}
        try:
            process = NewProcess(
                [*_launcher(), *map(str, numbers), *command],
                folder=folder,
                environment={**environment, **reports},
                outputs=(pipes[0][1], pipes[1][1]),
                files=(theirs.fileno(), alive),
            )
        except BaseException:
            self._reader.close()
            self._connection.close()
            for descriptor in (*self._outputs, lifeline):
                os.close(descriptor)
            raise
        finally:
            theirs.close()
            for descriptor in (alive, pipes[0][1], pipes[1][1]):
                os.close(descriptor)
        super().__init__(process, lifeline, tail)

    def read(self, scanner: OutputScanner, take: Take, finish: Callable[[], None]) -> None:
        """Read all that the program writes from now on, on a thread. Raises RuntimeError if none can be started."""
        self._reader.start(self._outputs, scanner, take, finish)

    def has_been_read(self, seconds: float) -> bool:
        """Whether all outputs of the program, which has ended, were read; from now on that may take this time."""
        self._reader.end_within(seconds)
        return self._reader.has_ended

    def start_failure(self) -> Failed | None:
        """Why the program could not be started; None if it was."""
        try:
            message = Conversation(self._connection).next(EXIT_SECONDS)
        except InvalidMessageError:  # the program has found the socket, and writes to it
            return None
        return None if message is None else Failed(str(message["reason"])[:MAX_REASON], retry=True, not_importable=True)

    def _close(self) -> None:
        self._reader.end_within(LAST_WORDS_SECONDS)
        self._reader.close()
        self._connection.close()
        super()._close()


def _launcher() -> list[str]:
    """A Python that becomes the program, without site packages and whatever else its start may load."""
    name = program.__name__
    root = Path(program.__file__).resolve().parents[name.count(".")]
    line = f"import sys; sys.path.append({str(root)!r}); from {name} import main; main(sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", line]
