"""What an error in a trial means for the trial and for this worker."""

from dataclasses import dataclass

from workers.errors import CustomTrialError, DatasetError, PrecisionError, WorkerError

MAX_REASON = 2000


@dataclass(frozen=True)
class Fault:
    """Why a trial could not be trained.

    retry: this machine lacks something (the data set, a number format, a working device), so another attempt on another
    machine may succeed. broken: this process cannot train anything any more. expected: not an error of our own code.
    lacking: the data set, the module or the program that this machine lacks, as a key; None for anything else.
    """

    reason: str
    retry: bool = False
    broken: bool = False
    expected: bool = True
    lacking: str | None = None


def fault_of(error: Exception, device: str) -> Fault:
    """What an error that a trial has raised means; its reason is one line, or the end of the trial's output."""
    if isinstance(error, CustomTrialError):  # with the last lines of its output
        return Fault(str(error)[:MAX_REASON], retry=error.retry)
    if isinstance(error, DatasetError | PrecisionError):
        return Fault(_line(error), retry=True)
    if isinstance(error, WorkerError):
        return Fault(_line(error))
    if is_out_of_memory(error):
        return Fault(f"out of memory on {device}: {_line(error)}")
    if is_device_broken(error):
        return Fault(f"{device} failed: {_line(error)}", retry=True, broken=True)
    return Fault(f"{type(error).__name__}: {_line(error)}", expected=False)


def is_device_broken(error: BaseException) -> bool:
    """Whether the error leaves this process unable to use the device: every further CUDA call would raise it again."""
    return "CUDA error" in error_text(error) and not is_out_of_memory(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is the error of torch, of Python, or of the CPU's or the GPU's allocator. Does not import torch."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in error_text(error)
        or "CUDA error: out of memory" in error_text(error)
    )


def error_text(error: BaseException) -> str:
    """The text of an error; empty if it cannot be told, as a class of users' code may have it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - of any kind, by a method of users' code
        return ""


def _line(error: Exception) -> str:
    lines = error_text(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:MAX_REASON]
