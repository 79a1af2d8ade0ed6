"""What it costs a worker to read everything that the program of a trial writes.

    python -m benchmarks.command_output [--lines 1000000] [--repeats 3] [--record]

- unbuffered: Python's `print`, line by line, as a worker starts Python (PYTHONUNBUFFERED=1).
- buffered: the same in pieces of 8 KiB.
- metrics: unbuffered, with a value of the objective in every thousandth line.

CPU times are those of the program's process and of the process that reads it; the share is the second by the first.
The memory is what the reading process had grown by at most.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from service.schemas.study.command_training import CommandTraining
from workers.user_code.commands.command_conversation import CommandConversation
from workers.user_code.commands.program_process import ProgramProcess

PROGRAM = """
import resource, sys
for i in range({n_lines}):
    print("step", i, "loss", i / 7{end})
print("val_acc=0.5")
used = resource.getrusage(resource.RUSAGE_SELF)
open("cpu", "w").write(str(used.ru_utime + used.ru_stime))
"""
EVERY = ", 'val_acc=0.5' if i % 1000 == 0 else ''"
CASES = {"unbuffered": ("1", ""), "buffered": ("", ""), "metrics": ("1", EVERY)}
TRAINING = CommandTraining(
    command=[sys.executable],
    metrics={"accuracy": r"val_acc[=: ]+(?P<value>[-+0-9.eE]+)"},
    step=None,
)


@dataclass(frozen=True)
class Measured:
    """CPU seconds of the program and of its reader, and by how many MiB the reader had grown at most."""

    program: float
    reader: float
    memory_mib: float


def measure(case: str, n_lines: int) -> Measured:
    """Run the program of a case once and read it, in a process of its own."""
    line = f"from benchmarks.command_output import read; read({case!r}, {n_lines})"
    answer = subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True).stdout
    return Measured(*map(float, answer.split()))


def read(case: str, n_lines: int) -> None:
    """Run the program of a case, read it as a worker does, and print the figures of Measured."""
    buffering, end = CASES[case]
    with tempfile.TemporaryDirectory() as name:
        folder, scratch = Path(name), Path(name, "scratch")
        scratch.mkdir()
        (folder / "program.py").write_text(PROGRAM.format(n_lines=n_lines, end=end))
        before, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        process = ProgramProcess(
            [sys.executable, "program.py"],
            scratch=scratch,
            folder=folder,
            environment={**os.environ, "PYTHONUNBUFFERED": buffering},
            memory_limit_mib=None,
        )
        conversation = CommandConversation(TRAINING, ["accuracy"], 0, process)
        while True:
            message = conversation.receive(0.1)
            if isinstance(message, dict):
                conversation.send({"decision": "continue"})
            if message is not None and not (isinstance(message, dict) and message["call"] == "reports"):
                break
        used = time.process_time() - before
        conversation.close()
        process.end()
        if not isinstance(message, dict):
            raise RuntimeError(str(message))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
        print((folder / "cpu").read_text(), used, grown)


def main() -> None:
    """Run the command."""
    parser = machine.command_line(__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    head = [
        "# Reading what the program of a trial writes",
        "",
        machine.describe(),
        f"- {arguments.lines:,} lines; median of {arguments.repeats} (least to largest)",
        "",
        "| case | program, CPU s | reader, CPU s | share, % | memory, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    machine.print_table("command-output", head, rows(arguments.lines, arguments.repeats), record=arguments.record)


def rows(n_lines: int, repeats: int) -> Iterator[str]:
    """Measure and describe each case, one row each."""
    for case in CASES:
        runs = [measure(case, n_lines) for _ in range(repeats)]
        columns = [
            machine.spread([one.program for one in runs]),
            machine.spread([one.reader for one in runs], 2),
            machine.spread([100 * one.reader / one.program for one in runs]),
            machine.spread([one.memory_mib for one in runs]),
        ]
        yield f"| {case} | {' | '.join(columns)} |"


if __name__ == "__main__":
    main()
