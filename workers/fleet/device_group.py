"""Devices that belong together: those of a worker process, and those of one trial."""

from dataclasses import dataclass
from fractions import Fraction

CPU = "cpu"
SEPARATOR = "+"


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
        return SEPARATOR.join(self.names)

    @property
    def first(self) -> str:
        """The device of a training that uses one only."""
        return self.names[0]

    @property
    def kind(self) -> str:
        """The kind of the devices: cpu or cuda. Code that sees no other GPUs finds its first one under this name."""
        return self.first.partition(":")[0]


def parse_group(text: str) -> DeviceGroup:
    """The group that a text like `cuda:0+cuda:1` names."""
    return DeviceGroup(tuple(text.split(SEPARATOR)))
