"""Which devices to train on, and with how many processes. Does not import torch where there is no GPU."""

import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

from workers.fleet.device_group import CPU, SEPARATOR, DeviceGroup

logger = logging.getLogger("narrows.fleet")

DEVICE = re.compile(r"cpu|cuda(:[0-9]+)?")
GPU_FILES = ("nvidia[0-9]*", "dxg", "nvhost-gpu", "kfd")  # NVIDIA, WSL, Jetson, AMD
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
FORMS = "devices must be auto, cpu or a list such as cuda:0,cuda:1 or, in groups, cuda:0+cuda:1,cuda:2+cuda:3"


class NoDeviceError(Exception):
    """A named device does not exist, or devices cannot be grouped as asked for. The message is one line."""


def process_groups(
    devices: str, processes: int | None, group_size: int | None, count_gpus: Callable[[], int], n_cores: int
) -> list[DeviceGroup]:
    """The devices of each process: one process for each group, or `processes` of them, spread evenly.

    A group is a GPU, a CPU core, or several of them: those that `devices` names together, or else `group_size` that
    follow one another. GPUs that are left over are in no group. Raises NoDeviceError.
    """
    groups = _groups(devices, group_size, count_gpus)
    if processes is not None:
        return list(islice(cycle(groups), processes))
    return [group for group in groups for _ in range(max(1, n_cores // len(group)) if group.kind == CPU else 1)]


def _groups(devices: str, group_size: int | None, count_gpus: Callable[[], int]) -> list[DeviceGroup]:
    if SEPARATOR not in devices:
        return _grouped(_names(_stripped(devices.split(","), devices), count_gpus), group_size or 1)
    all_names = _stripped(devices.replace(SEPARATOR, ",").split(","), devices)
    groups = [_stripped(text.split(SEPARATOR), devices) for text in devices.split(",")]
    for names in groups:
        _check_group(SEPARATOR.join(names), names)
        if group_size not in (None, len(names)):
            raise NoDeviceError(f"devices_per_trial must be the size of each group: {group_size}, {devices!r}")
    _names(all_names, count_gpus)
    return [DeviceGroup(tuple(names)) for names in groups]


def _check_group(text: str, names: Sequence[str]) -> None:
    """Raises NoDeviceError for a group with devices of several kinds, or with a GPU that is no certain one or twice."""
    if len({name.partition(":")[0] for name in names}) > 1:
        raise NoDeviceError(f"the devices of a group must be of one kind: {text!r}")
    gpus = [name for name in names if name != CPU]
    if len(names) > 1 and ("cuda" in gpus or len(set(gpus)) < len(gpus)):
        raise NoDeviceError(f"a group must name each of its GPUs once, with its number: {text!r}")


def _grouped(names: Sequence[str], size: int) -> list[DeviceGroup]:
    """Groups of GPUs that follow one another, and a group of the CPU as often as it is named."""
    if size == 1:
        return [DeviceGroup((name,)) for name in names]
    gpus = [name for name in names if name != CPU]
    groups = [DeviceGroup(tuple(gpus[first : first + size])) for first in range(0, len(gpus) - size + 1, size)]
    for group in groups:
        _check_group(str(group), group.names)
    groups += [DeviceGroup((CPU,) * size) for name in names if name == CPU]
    if not groups:
        raise NoDeviceError(f"there are too few devices for a group of {size}: {', '.join(gpus)}")
    if left := gpus[len(gpus) - len(gpus) % size :]:
        logger.warning("%s: not used, because a group has %d devices", ", ".join(left), size)
    return groups


def _stripped(items: Sequence[str], devices: str) -> list[str]:
    """The names without spaces. Raises NoDeviceError for what is no name of a device."""
    names = [name.strip() for name in items]
    unknown = [name for name in names if name != "auto" and not DEVICE.fullmatch(name)]
    if unknown or ("auto" in names and len(names) > 1):
        raise NoDeviceError(f"{FORMS}: {devices!r}")
    return names


def _names(names: list[str], count_gpus: Callable[[], int]) -> list[str]:
    """The devices that the names stand for. Raises NoDeviceError for one that does not exist."""
    if set(names) == {CPU}:
        return names
    gpus = [f"cuda:{index}" for index in range(count_gpus())]
    if names == ["auto"]:
        return gpus or [CPU]
    if names == ["cuda"] and gpus:
        return gpus
    missing = [name for name in names if name not in (CPU, *gpus)]
    if missing:
        raise NoDeviceError(f"no such device: {', '.join(missing)} ({len(gpus)} GPUs are visible)")
    return names


def count_gpus() -> int:
    """Number of GPUs that torch can use. A fork asks, because the answer may open the GPUs, and this process forks."""
    if not any(next(Path("/dev").glob(pattern), None) for pattern in GPU_FILES):
        return 0
    import torch

    pid = os.fork()
    if pid == 0:
        n_gpus = 0
        try:
            n_gpus = torch.cuda.device_count()
        finally:
            os._exit(n_gpus)
    _, status = os.waitpid(pid, 0)
    return max(0, os.waitstatus_to_exitcode(status))


def n_cores(quota: Path = CPU_QUOTA) -> int:
    """Number of CPU cores that this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text().split()
        return max(1, min(cores, math.ceil(int(share) / int(period))))
    except (OSError, ValueError):  # no control groups, or "max": no limit
        return cores
