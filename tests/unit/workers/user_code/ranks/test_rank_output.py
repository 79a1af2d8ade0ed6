"""The output of several ranks: whole lines, each with its rank."""

import pytest

from workers.user_code.ranks.rank_output import MAX_LINE_BYTES
from workers.user_code.ranks.rank_processes import RankOutputs


def test_lines_of_ranks_do_not_mix() -> None:
    outputs = RankOutputs(2)
    first, second = (outputs.tail(rank, None) for rank in range(2))
    first.keep(b"one ")
    second.keep(b"two\nthree")
    first.keep(b"line\n\n")
    assert outputs.output.content() == b"[rank 1] two\n[rank 0] one line\n[rank 0] \n"
    outputs.finish()
    assert outputs.output.content().endswith(b"[rank 1] three\n")
    assert (first.last_lines(), second.last_lines()) == ("one line", "two\nthree")


@pytest.mark.parametrize(
    "pieces", [[b" 1%\r 2%\r 3%\r\n"], [b" 1%\r", b" 2%\r", b" 3%", b"\r\n"], [b"9", b"\r 3%", b"\n"]]
)
def test_of_a_progress_bar_the_last_state_is_a_line(pieces: list[bytes]) -> None:
    outputs = RankOutputs(1)
    tail = outputs.tail(0, None)
    for piece in pieces:
        tail.keep(piece)
    assert outputs.output.content() == b"[rank 0]  3%\n"


def test_a_line_without_an_end_is_cut() -> None:
    outputs = RankOutputs(1)
    outputs.tail(0, None).keep(b"x" * (MAX_LINE_BYTES + 5))
    outputs.finish()
    assert [len(line) for line in outputs.output.content().splitlines()] == [MAX_LINE_BYTES + 9, 5 + 9]


def test_a_line_of_ours_ends_a_line_of_the_ranks() -> None:
    outputs = RankOutputs(1)
    tail = outputs.tail(0, None)
    tail.keep(b"unfinished")
    tail.tell("a word")
    assert outputs.output.content() == b"[rank 0] unfinished\n[rank 0] [a word]\n"
