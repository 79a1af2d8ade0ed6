"""Tables of recorded trainings of random configurations."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from benchmarks.recorded.tasks import Space, Task
from service.schemas.results import Curves, Trial

FOLDER = Path(__file__).parent
METRIC = "validation_accuracy"
FAILED = 0xFFFF
"""Takes the place of a count after training has failed."""
N_NEAREST = 5
"""Recorded trials whose mean counts as the result of a configuration. Each was trained once, so the best of thousands
are partly lucky."""


@dataclass(frozen=True)
class Table:
    """Recorded trainings of one task.

    `params` is float64 [trials, parameters]. `correct` is uint16 [trials, epochs]: how many of `n_validation` images
    were classified correctly after each epoch, or FAILED from the epoch at which a trial failed.
    """

    space: Space
    params: npt.NDArray[np.float64]
    correct: npt.NDArray[np.uint16]
    n_validation: int
    n_nearest: int = N_NEAREST

    @cached_property
    def best(self) -> float:
        """The best final accuracy of the recorded configurations, looked up as `curve` does."""
        return max(curve[-1] for point in self._cube if not math.isnan((curve := self._at(point))[-1]))

    @cached_property
    def share_good(self) -> Callable[[float], float]:
        """A function that returns the share of recorded configurations with at least a final accuracy."""
        last = np.array([self._at(point)[-1] for point in self._cube])
        return lambda target: float((last >= target).mean())

    def curve(self, params: Mapping[str, Any]) -> list[float]:
        """Return the accuracy after each epoch: the mean of the nearest recorded trials, NaN if the nearest one failed.

        Distances are in the unit cube of the space, with log parameters on a log scale.
        """
        return self._at(self._scaled(np.array([[params[name] for name in self.space]], dtype=np.float64))[0])

    def _at(self, point: npt.NDArray[np.float64]) -> list[float]:
        order = ((self._cube - point) ** 2).sum(1).argsort()[: self.n_nearest]
        first_failed = bool(self._has_failed[order[0]])
        rows = order[:1] if first_failed else [row for row in order if not self._has_failed[row]]
        return [float(value) for value in self._accuracy[rows].mean(0)]

    @cached_property
    def _cube(self) -> npt.NDArray[np.float64]:
        return self._scaled(self.params)

    @cached_property
    def _accuracy(self) -> npt.NDArray[np.float64]:
        return np.where(self.correct == FAILED, math.nan, self.correct / self.n_validation)

    @cached_property
    def _has_failed(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.correct[:, -1], FAILED)

    def _scaled(self, params: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        columns = []
        for column, field in zip(params.T, self.space.values(), strict=True):
            low, high = field["low"], field["high"]
            is_log = field.get("log", False)
            columns.append(np.log(column / low) / math.log(high / low) if is_log else (column - low) / (high - low))
        return np.stack(columns, 1)

    @classmethod
    def of_trials(cls, space: Space, trials: Sequence[tuple[Trial, Curves]], epochs: int, n_validation: int) -> Self:
        """Make a table of trials. Raises ValueError for a trial that neither failed nor trained all epochs."""
        correct = np.full((len(trials), epochs), FAILED, np.uint16)
        for row, (trial, curves) in zip(correct, trials, strict=True):
            values = curves.metrics.get(METRIC, [])
            if trial.state != "FAIL" and len(values) != epochs:
                raise ValueError(f"trial {trial.number} is {trial.state} after {len(values)} of {epochs} epochs")
            for epoch, value in zip(curves.steps, values, strict=True):
                row[epoch] = round(float(value or 0) * n_validation)
        params = np.array([[trial.params[name] for name in space] for trial, _ in trials], dtype=np.float64)
        return cls(space, params, correct, n_validation)

    def save(self, name: str, folder: Path = FOLDER) -> Path:
        """Write one line for each trial: its parameters and counts. Counts are empty from where the trial failed."""
        path = folder / f"{name}.csv"
        epochs = [f"epoch {epoch}" for epoch in range(self.correct.shape[1])]
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*self.space, f"of {self.n_validation}", *epochs])
            for params, correct in zip(self.params.tolist(), self.correct.tolist(), strict=True):
                counts = ["" if count == FAILED else count for count in correct]
                writer.writerow([*(f"{value:.6g}" for value in params), "", *counts])
        return path

    @classmethod
    def of_task(cls, task: Task) -> Self:
        """Load what is recorded for a task. Raises FileNotFoundError if nothing is."""
        whole = cls.load(task.record or task.name, task.space)
        return replace(whole, correct=whole.correct[:, : task.epochs])

    @classmethod
    def load(cls, name: str, space: Space, folder: Path = FOLDER) -> Self:
        """Load the table of a name. Raises FileNotFoundError if there is none."""
        with (folder / f"{name}.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        n_params = len(space)
        params = np.array([[float(cell) for cell in row[:n_params]] for row in rows])
        counts = [[int(cell) if cell else FAILED for cell in row[n_params + 1 :]] for row in rows]
        return cls(space, params, np.array(counts, np.uint16), int(header[n_params].removeprefix("of ")))
