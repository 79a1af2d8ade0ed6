"""Devices that belong together: those of a worker process, and those of one trial."""

from dataclasses import dataclass
from fractions import Fraction

CPU = "cpu"
SEPARATOR = "+"
MAX_NAMED = 4
"""Devices of a group that are all named in its text."""


@dataclass(frozen=True)
class DeviceGroup:
    """The devices of one worker process, or those of them that one trial has.

    names: names of the devices for torch.device, all of one kind; the CPU may be there several times. share: the part
    of each device that is the trial's; 1 for all of it.
    """

    names: tuple[str, ...]
    share: Fraction = Fraction(1)

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        names = self.names if len(self) <= MAX_NAMED else (self.first, "…", self.names[-1])
        return SEPARATOR.join(names)

    @property
    def first(self) -> str:
        """The device of a training that uses one only."""
        return self.names[0]

    @property
    def kind(self) -> str:
        """The kind of the devices: cpu or cuda. Code that sees no other GPUs finds its first one under this name."""
        return self.first.partition(":")[0]

    def part_of(self, amount: int) -> int:
        """The trial's part of what it would have if it shared its devices with no other; at least 1."""
        return max(1, int(amount * self.share))

    @property
    def gpu_numbers(self) -> list[int]:
        """The numbers of the GPUs among those that the worker sees; none on the CPU."""
        return [int(name.partition(":")[2] or 0) for name in self.names if name != CPU]
