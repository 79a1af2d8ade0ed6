"""What is kept of the output of a process."""

import os
import subprocess
import sys
from functools import partial

import pytest

from tests.waiting import PATIENCE_SECONDS, until
from workers.user_code.output_tail import OutputTail

pytestmark = pytest.mark.processes


def test_the_end_of_the_output_is_kept() -> None:
    command = [sys.executable, "-c", "for n in range(3000): print('line', n)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        output = OutputTail(process.stdout, max_bytes=1000)
        output.finish(PATIENCE_SECONDS)
    first, _, rest = output.content().partition(b"\n")
    assert first == b"[the first %d bytes are not kept]" % (output.n_bytes - 1000)
    assert len(rest) == 1000
    assert output.last_lines().splitlines() == [f"line {n}" for n in range(2980, 3000)]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"one\r\ntwo\r\n", b"one\ntwo\n"),
        (b"first\n\r 0 %\r50 %\r100 %\nlast\n", b"first\n100 %\nlast\n"),
        (b"first\n 0 %\r50 %\r100 %\r\nlast", b"first\n100 %\nlast"),
        (b"0 %\r50 %\r", b"50 %"),
        (b"a long line\rshort", b"short"),
        (b"\n\n\r\r\n", b"\n\n\n"),
    ],
)
def test_a_line_that_is_written_anew_counts_once(written: bytes, kept: bytes, n: int) -> None:
    read, write = os.pipe()
    output = OutputTail(os.fdopen(read, "rb", buffering=0))

    def has_read(n_bytes: int) -> bool:
        return output.n_written == n_bytes

    n_sent = 0
    while n_sent < len(written):
        n_sent += os.write(write, written[n_sent : n_sent + n])
        until(partial(has_read, n_sent))
    os.close(write)
    output.finish(PATIENCE_SECONDS)
    assert output.content() == kept
    assert (output.n_bytes, output.n_written) == (len(kept), len(written))


def test_a_progress_bar_does_not_push_out_what_came_before() -> None:
    code = "print('first')\nfor n in range(5000): print('\\r', n, '%', end='')\nprint('\\nlast')"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        output = OutputTail(process.stdout, max_bytes=1000)
        output.finish(PATIENCE_SECONDS)
    assert output.content() == b"first\n 4999 %\nlast\n"


def test_output_is_closed_although_a_detached_process_holds_it_open() -> None:
    command = ["sh", "-c", "echo first; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        output = OutputTail(process.stdout)
        until(lambda: output.content() == b"first\n")
        output.finish(0.0)
        thread = output._thread
        assert thread is not None
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert process.stdout.closed
        process.kill()


def test_what_follows_begins_a_line_of_its_own() -> None:
    read, write = os.pipe()
    output = OutputTail(os.fdopen(read, "rb", buffering=0))

    def tell(text: bytes) -> None:
        n_written = output.n_written + os.write(write, text)
        until(lambda: output.n_written == n_written)

    assert output.begin_line() == 0
    tell(b"first trial  99 %\r100 %")
    start = output.begin_line()
    tell(b"\rsecond trial  99 %\r100 %\nend\n")
    os.close(write)
    output.finish(PATIENCE_SECONDS)
    assert output.content(start) == b"100 %\nend\n"
    assert output.content() == b"100 %\n100 %\nend\n"


def test_what_is_in_the_pipe_is_read_although_the_time_is_over() -> None:
    """A writer that has left the group still holds it open."""
    read, write = os.pipe()
    output = OutputTail(os.fdopen(read, "rb", buffering=0))
    text = b"line\n" * 10_000
    os.write(write, text)
    output.finish(0.0)
    assert output.content() == text
    os.close(write)
