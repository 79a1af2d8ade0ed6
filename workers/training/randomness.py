"""Random numbers of a trial: a seed for each purpose and epoch, derived from the trial's seed.

An epoch can therefore be trained again, after a restart or in another lane, without training the epochs before it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import torch
from numpy.random import SeedSequence


class Purpose(IntEnum):
    """What random numbers are for. The values go into the seeds, so changing them changes every result."""

    INITIALIZATION = 0
    ORDER = 1
    AUGMENTATION = 2
    NOISE = 3
    CUSTOM_MODEL = 4


def derive_seed(seed: int, purpose: Purpose, *position: int) -> int:
    """Return a 64-bit seed that is independent of those of other purposes, epochs and trials (numpy's SeedSequence).

    `position` is the epoch, or the epoch and the batch; nothing means epoch 0.
    """
    return int(SeedSequence([seed, purpose, *(position or (0,))]).generate_state(1, "uint64")[0])


@contextmanager
def preserved_global_generators(device: torch.device) -> Iterator[None]:
    """Restore torch's global generators of the CPU and of `device` after the block."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_global_generators(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the CPU and of `device`. torch.manual_seed would seed every GPU."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
