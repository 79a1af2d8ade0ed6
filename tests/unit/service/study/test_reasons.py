import pytest

from service.study.reasons import first_line
from workers.user_code.outcome import Failed


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (None, "no reason is known"),
        (" \n", "no reason is known"),
        ("train_loss is nan at epoch 3", "train_loss is nan at epoch 3"),
        ("\n  ValueError: low\nmust be below high", "ValueError: low"),
        ("x" * 900, "x" * 500),
    ],
)
def test_a_reason_in_a_sentence_is_one_line(reason: str | None, line: str) -> None:
    assert first_line(reason) == line


def test_the_output_that_a_worker_adds_is_left_out() -> None:
    reason = Failed("mine:f cannot be imported").reason_with_output("Traceback (most recent call last):\n  File")
    assert first_line(reason) == "mine:f cannot be imported"
