"""The devices of a worker process, which trials of users' code share or have to themselves."""

from fractions import Fraction

from service.schemas.study.devices import share_of, whole
from workers.fleet.device_group import DeviceGroup

ALL = Fraction(1)


class DevicePool:
    """Which devices, or shares of them, are in use by which trial.

    A trial of several devices has them to itself. Any other trial has the share that its study says, but not more than
    `1 / trials_per_device`, of the device that is used least.
    """

    def __init__(self, devices: DeviceGroup, trials_per_device: int = 1) -> None:
        self.devices = devices
        self._largest_share = Fraction(1, trials_per_device)
        self._free = [ALL] * len(devices)
        self._taken: dict[str, tuple[list[int], Fraction]] = {}
        self._last_share = self._largest_share

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, lease_id: str, devices: float) -> DeviceGroup | None:
        """The devices of a new trial, whose study says `devices`; None if there is no room for it now."""
        n_devices = min(whole(devices), len(self.devices))  # the runner refuses a trial that needs more
        share = ALL if devices > 1 else min(share_of(devices), self._largest_share)
        most_free = sorted(range(len(self._free)), key=lambda index: (-self._free[index], index))[:n_devices]
        if any(self._free[index] < share for index in most_free):
            return None
        for index in most_free:
            self._free[index] -= share
        self._taken[lease_id] = (sorted(most_free), share)
        self._last_share = share
        return DeviceGroup(tuple(self.devices.names[index] for index in sorted(most_free)), share)

    def give_back(self, lease_id: str) -> None:
        """Free the devices of a trial."""
        indices, share = self._taken.pop(lease_id)
        for index in indices:
            self._free[index] += share

    @property
    def room(self) -> float:
        """What a further trial's study may say of `devices` at most: up to 1; 0 if there is no room.

        More than one device are free at the same time only when all are.
        """
        free = max(self._free)
        return 1.0 if free >= self._largest_share else float(free)

    @property
    def n_free(self) -> int:
        """How many trials more have room that are like the last one."""
        return sum(int(free / self._last_share) for free in self._free)
