"""How fast steps of one device are by their number of lanes: as measured, or as expected from shapes that are alike.

The measurements are kept in a file in the user's cache folder, so that the next worker knows them.
"""

import json
import logging
import math
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

import torch

from workers.scheduling.step_cost import DEFAULT_COSTS, PADDED, Shape, StepCost, fit_cost

logger = logging.getLogger("narrows.worker")

VERSION = 1
MAX_KEPT = 500
"""Shapes of a device that the file keeps: those that were measured last."""
SAVE_SECONDS = 10.0
"""Shortest time between two writes of the file while trials train."""
NOTABLE = 0.02
"""A measurement that is less faster than this changes nothing."""

Measured = dict[Shape, dict[int, float]]
"""Seconds of a step by shape and number of lanes."""


class LaneTimes:
    """The fastest measured step of each shape and number of lanes on a device; what was not measured is expected."""

    def __init__(self, device: torch.device, file: Path | None = None) -> None:
        """Read what workers before have measured; None keeps the measurements in memory only."""
        self._file = file
        self._device_name = device_name(device)
        self._default = DEFAULT_COSTS.get(device.type, DEFAULT_COSTS["cuda"])
        self._measured: Measured = {} if file is None else read_times(file).get(self._device_name, {})
        self._costs: dict[str, StepCost] = {}
        self._saved_at = time.monotonic()
        self._is_saved = True

    def measured(self, shape: Shape) -> dict[int, float]:
        """Measured batches per second of a shape by number of lanes, in ascending order."""
        return {n: n / seconds for n, seconds in sorted(self._measured.get(shape, {}).items())}

    def rate(self, shape: Shape, n_lanes: int) -> float:
        """Batches per second of all lanes together: as measured, or as expected."""
        measured = self.measured(shape)
        if n_lanes in measured:
            return measured[n_lanes]
        cost = self._cost_of_family(shape.family)
        if not measured:
            return n_lanes / cost.seconds(shape, n_lanes)
        cost = fit_cost({shape: self._measured[shape]}, cost)
        expected = n_lanes / cost.seconds(shape, n_lanes)
        nearest = min(measured, key=lambda n: abs(math.log(n / n_lanes)))
        return expected * measured[nearest] * cost.seconds(shape, nearest) / nearest

    def expected(self, shape: Shape, n_lanes: int) -> float:
        """Batches per second of all lanes together, as expected from every shape of the family.

        A single measurement may be slow because of other programs. Of all measurements together that matters little.
        """
        return n_lanes / self._cost_of_family(shape.family).seconds(shape, n_lanes)

    def most_lanes(self, family: str) -> int:
        """The largest number of lanes that was measured in a family; 0 if nothing was."""
        return max((max(by_lanes) for shape, by_lanes in self._measured.items() if shape.family == family), default=0)

    def is_explored(self, shape: Shape) -> bool:
        """Whether several numbers of lanes were measured of a shape like this one."""
        return any(len(by_lanes) > 1 and other.is_like(shape) for other, by_lanes in self._measured.items())

    def note(self, shape: Shape, n_lanes: int, seconds: float) -> None:
        """Keep the seconds of a step if none as fast was measured before."""
        by_lanes = self._measured.get(shape, {})
        if seconds < (1 - NOTABLE) * by_lanes.get(n_lanes, math.inf):
            self._measured.pop(shape, None)  # the newest is the last
            self._measured[shape] = by_lanes | {n_lanes: seconds}
            self._costs.clear()
            self._is_saved = False
        if not self._is_saved and time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the file, with what other processes have written meanwhile. A file that cannot be written is logged."""
        if self._file is None or self._is_saved:
            return
        self._is_saved, self._saved_at = True, time.monotonic()
        everything = read_times(self._file)
        kept = everything.get(self._device_name, {})
        for shape, by_lanes in self._measured.items():
            kept[shape] = kept.pop(shape, {}) | by_lanes
        everything[self._device_name] = dict(list(kept.items())[-MAX_KEPT:])
        try:
            write_times(self._file, everything)
        except OSError as error:
            logger.info("the speed of lanes cannot be kept for later workers: %s", error)
            self._file = None

    def _cost_of_family(self, family: str) -> StepCost:
        if family not in self._costs:
            if family.endswith(PADDED):
                prior = self._cost_of_family(family.removesuffix(PADDED))
            else:
                prior = fit_cost(self._measured, self._default)
            alike = {shape: by_lanes for shape, by_lanes in self._measured.items() if shape.family == family}
            self._costs[family] = fit_cost(alike, prior)
        return self._costs[family]


def cache_file() -> Path | None:
    """The file of this user; None if the user has no home."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(RuntimeError):
        return (Path(folder) if Path(folder).is_absolute() else Path.home() / ".cache") / "narrows" / "lane-times.json"
    return None


def device_name(device: torch.device) -> str:
    """The model of the device, and the version of PyTorch."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{model}, PyTorch {torch.__version__}"


def read_times(file: Path) -> dict[str, Measured]:
    """The measurements in a file by device; none if it is missing, of another version or damaged."""
    try:
        content = json.loads(file.read_text())
        if content["version"] != VERSION:
            return {}
        return {str(name): _measured(rows) for name, rows in content["devices"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s is damaged, so lanes are measured anew: %r", file, error)
        return {}


def write_times(file: Path, devices: dict[str, Measured]) -> None:
    """Replace the file at one moment. Raises OSError."""
    rows = {
        name: [[*astuple(shape), n, seconds] for shape, by_lanes in measured.items() for n, seconds in by_lanes.items()]
        for name, measured in devices.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f"{file.name}.", delete=False) as written:
        try:
            json.dump({"version": VERSION, "devices": rows}, written)
            written.flush()
            Path(written.name).replace(file)
        except BaseException:
            Path(written.name).unlink(missing_ok=True)
            raise


def _measured(rows: list[tuple[str, int, int, int, float]]) -> Measured:
    measured: Measured = {}
    for family, n_parameters, batch_size, n_lanes, seconds in rows:
        sizes = int(n_parameters), int(batch_size)
        if min(*sizes, n_lanes) < 1 or not 0 < seconds < math.inf:
            raise ValueError(f"sizes and seconds must be positive: {sizes}, {n_lanes} lanes, {seconds} s")
        measured.setdefault(Shape(str(family), *sizes), {})[int(n_lanes)] = float(seconds)
    return measured


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "cpu"
