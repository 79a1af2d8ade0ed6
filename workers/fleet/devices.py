"""Which devices to train on, and with how many processes. Does not import torch where there is no GPU."""

import math
import os
import re
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

DEVICE = re.compile(r"cpu|cuda(:[0-9]+)?")
GPU_FILES = ("nvidia[0-9]*", "dxg", "nvhost-gpu", "kfd")  # NVIDIA, WSL, Jetson, AMD
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class NoDeviceError(Exception):
    """A named device does not exist. The message is one line."""


def process_devices(devices: str, processes: int | None, count_gpus: Callable[[], int], n_cores: int) -> list[str]:
    """The device of each process: one process for each GPU or CPU core, or `processes` of them, spread evenly.

    Raises NoDeviceError.
    """
    names = _names(devices, count_gpus)
    if processes is not None:
        return list(islice(cycle(names), processes))
    return [device for device in names for _ in range(n_cores if device == "cpu" else 1)]


def _names(devices: str, count_gpus: Callable[[], int]) -> list[str]:
    names = [name.strip() for name in devices.split(",")]
    unknown = [name for name in names if name != "auto" and not DEVICE.fullmatch(name)]
    if unknown or ("auto" in names and len(names) > 1):
        raise NoDeviceError(f"devices must be auto, cpu or a list such as cuda:0,cuda:1: {devices!r}")
    if names == ["cpu"]:
        return names
    gpus = [f"cuda:{index}" for index in range(count_gpus())]
    if names == ["auto"]:
        return gpus or ["cpu"]
    if names == ["cuda"] and gpus:
        return gpus
    missing = [name for name in names if name not in ("cpu", *gpus)]
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
