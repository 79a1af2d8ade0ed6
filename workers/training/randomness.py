"""Random numbers of a trial: each purpose and epoch has a seed of its own, drawn from the trial's.

So an epoch can be trained again, after a restart or in another lane, without the epochs before it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import torch
from numpy.random import SeedSequence


class Purpose(IntEnum):
    INITIALIZATION = 0
    ORDER = 1
    AUGMENTATION = 2
    NOISE = 3
    CUSTOM_MODEL = 4


def derive_seed(seed: int, purpose: Purpose, *place: int) -> int:
    """A seed of 64 bits, independent of those of other purposes, epochs and trials (numpy's SeedSequence).

    `place` is the epoch, or the epoch and the batch.
    """
    return int(SeedSequence([seed, purpose, *(place or (0,))]).generate_state(1, "uint64")[0])


@contextmanager
def preserved_global_generators(device: torch.device) -> Iterator[None]:
    """Put the global generators of the CPU and of `device` back afterwards as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_global_generators(seed: int, device: torch.device) -> None:
    """Seed those that initialization, dropout and noise draw from; torch.manual_seed would seed every GPU."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
