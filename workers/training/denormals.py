"""Denormal numbers count as zero while trials train: decay produces them, and a CPU is up to 100 times slower then."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """For this thread, until the block is left; and for good in the threads that torch starts meanwhile.

    Other code of the process sees the arithmetic that it expects.
    """
    half = 0.5
    if sys.float_info.min * half == 0.0:  # flushed already, by a caller
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
