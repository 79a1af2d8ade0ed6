import pytest

from workers.faults import fault_of, is_device_broken, is_out_of_memory


class MuteError(Exception):
    """An error of users' code whose text cannot be told."""

    def __str__(self) -> str:
        raise KeyError


def test_an_error_without_a_text_is_told_by_its_name() -> None:
    assert not is_device_broken(MuteError())
    assert not is_out_of_memory(MuteError())
    assert fault_of(MuteError(), "cpu").reason == "MuteError: MuteError"


@pytest.mark.parametrize(
    ("text", "reason", "broken"),
    [
        ("CUDA error: out of memory", "out of memory on cuda:0: CUDA error: out of memory", False),
        ("CUDA error: unspecified launch failure", "cuda:0 failed: CUDA error: unspecified launch failure", True),
    ],
)
def test_an_error_of_the_device_is_told_with_the_device(text: str, reason: str, broken: bool) -> None:
    fault = fault_of(RuntimeError(text), "cuda:0")
    assert (fault.reason, fault.broken) == (reason, broken)
