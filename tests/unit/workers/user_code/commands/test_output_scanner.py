"""Metrics in what a program writes, however it writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.user_code.commands.output_scanner import MAX_LINE_BYTES, Found, OutputScanner

ACCURACY = r"val_acc[=: ]+(?P<value>[-+0-9.eE]+)"
LOSS = r"^loss (?P<value>\S+)$"
STEP = r"epoch (?P<step>\d+)"


def found_in(
    *pieces: bytes, step: str | None = STEP, metrics: dict[str, str] | None = None
) -> list[tuple[str | None, Found]]:
    found: list[tuple[str | None, Found]] = []
    patterns = {"accuracy": ACCURACY, "loss": LOSS} if metrics is None else metrics
    scanner = OutputScanner(patterns, step, lambda step, texts: found.append((step, texts)))
    for piece in pieces:
        scanner.feed(0, piece)
    scanner.finish()
    return found


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (b"val_acc=0.5\n", [(None, {"accuracy": "0.5"})]),
        (b"val_acc=0.5", [(None, {"accuracy": "0.5"})]),
        (b"epoch 3 val_acc: 5e-1\n", [("3", {"accuracy": "5e-1"})]),
        (b"epoch 3\nloss 0.1\n", [("3", {}), (None, {"loss": "0.1"})]),
        (b"a loss 0.1\nloss 0.1 \n", []),
        (b"loss 0.1\r\nloss 0.2\r\n", [(None, {"loss": "0.1"}), (None, {"loss": "0.2"})]),
        (b"\x1b[1;32mval_\x1b[0macc=0.5\x1b[0m\n", [(None, {"accuracy": "0.5"})]),
        (b"\x1b]0;title\x07val_acc=0.5\n", [(None, {"accuracy": "0.5"})]),
        (b"\xff\xfe val_acc=0.5 \x80\n", [(None, {"accuracy": "0.5"})]),
        (b"val_acc\n=0.5\n", []),
        (b"", []),
    ],
)
def test_a_metric_is_found_in_its_line(output: bytes, found: list[tuple[str | None, Found]]) -> None:
    assert found_in(output) == found
    assert found_in(*(output[index : index + 1] for index in range(len(output)))) == found


def test_equal_values_of_a_line_that_is_written_anew_count_once() -> None:
    bar = b"\r10% val_acc=0.5\r20% val_acc=0.5\r30% val_acc=0.6\r40% val_acc=0.6\n50% val_acc=0.6\n"

    assert [texts["accuracy"] for _, texts in found_in(bar)] == ["0.5", "0.6", "0.6"]


def test_equal_values_of_two_lines_count_twice() -> None:
    assert [texts for _, texts in found_in(b"val_acc=1\nval_acc=1\n")] == [{"accuracy": "1"}] * 2
    assert [texts for _, texts in found_in(b"\rval_acc=1\r\nother\nval_acc=1\n")] == [{"accuracy": "1"}] * 2


def test_the_two_outputs_are_apart() -> None:
    found: list[Found] = []
    scanner = OutputScanner({"accuracy": ACCURACY}, None, lambda _, texts: found.append(texts))
    scanner.feed(0, b"val_")
    scanner.feed(1, b"\r50%|####\r")
    scanner.feed(0, b"acc=0.5\n")

    assert found == [{"accuracy": "0.5"}]


def test_a_line_without_an_end_is_bounded() -> None:
    scanner = OutputScanner({"accuracy": ACCURACY}, None, lambda *_: None)
    for _ in range(100):
        scanner.feed(0, b"x" * 65_536)

    assert len(scanner._streams[0].rest) <= MAX_LINE_BYTES


@pytest.mark.parametrize("text", [r"\Aloss (?P<value>\d+)", r"loss (?P<value>\d+)\z"])
def test_anchors_of_the_whole_text_are_those_of_a_line(text: str) -> None:
    assert found_in(b"a\nloss 1\nb\n", step=None, metrics={"loss": text}) == [(None, {"loss": "1"})]


def test_an_expression_whose_group_may_be_empty_finds_no_value() -> None:
    assert found_in(b"loss\n", step=None, metrics={"loss": r"loss(?P<value> \d+)?"}) == []


@given(
    st.lists(
        st.sampled_from([b"val_acc=0.1", b"loss 2", b"epoch 7", b"noise", b"\xff", b"\x1b[1m", b"\n", b"\r", b" "])
    )
)
def test_it_does_not_matter_how_the_output_is_cut(words: list[bytes]) -> None:
    output = b"".join(words)

    assert found_in(*(output[index : index + 1] for index in range(len(output)))) == found_in(output)


@given(
    st.lists(
        st.sampled_from(["val_acc=0.1", "loss 2", "loss x y", "epoch 7", "noise", "val_acc", "=3", "é"]), max_size=20
    )
)
def test_it_finds_what_looking_at_each_line_finds(lines: list[str]) -> None:
    one_by_one = [one for line in lines for one in found_in(f"{line}\n".encode())]

    assert found_in("".join(f"{line}\n" for line in lines).encode()) == one_by_one
