"""What the trials of a study have in common by their verdicts: shares, and where they lie in the search space."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from service.diagnosis.verdicts import Judgement
from service.schemas.diagnosis import Verdict
from service.schemas.fields import Scalar
from service.schemas.study.definition import Definition
from service.schemas.study.search_space import CategoricalParameter, FloatParameter, IntParameter
from service.schemas.study.training import Training

Range = FloatParameter | IntParameter

CLEAR_SHARE = 0.15
MIN_BEST = 3
BEST_SHARE = 0.1


@dataclass(frozen=True)
class Judged:
    """One trial, with what advice looks at.

    `rank` is the first objective's value, smaller is better; None until complete.
    """

    number: int
    params: Mapping[str, Scalar]
    judgement: Judgement
    n_epochs: int
    rank: float | None = None
    is_pruned: bool = False

    @property
    def verdict(self) -> Verdict:
        return self.judgement.verdict


class Evidence:
    """The judged trials of a study with its definition."""

    def __init__(self, definition: Definition, trials: Iterable[Judged]) -> None:
        self.definition = definition
        self.trials = list(trials)
        self.clear = [trial for trial in self.trials if trial.verdict != "unclear"]
        ranked = sorted(
            (trial for trial in self.trials if trial.rank is not None), key=lambda trial: (trial.rank, trial.number)
        )
        self.n_complete = len(ranked)
        self.best = ranked[: max(MIN_BEST, round(BEST_SHARE * len(ranked)))]

    @property
    def training(self) -> Training:
        """What is fixed of the built-in training."""
        assert isinstance(self.definition.training, Training), "an entrypoint has none of these fields"
        return self.definition.training

    def having(self, verdict: Verdict) -> list[Judged]:
        return [trial for trial in self.clear if trial.verdict == verdict]

    def share(self, verdict: Verdict) -> float:
        """Share of a verdict among the trials that are clear."""
        return len(self.having(verdict)) / len(self.clear) if self.clear else 0.0

    def ranges(self, wanted: Callable[[str], bool]) -> dict[str, Range]:
        """Searched numbers whose names are wanted."""
        space = self.definition.search_space
        return {
            name: parameter
            for name, parameter in space.items()
            if wanted(name) and not isinstance(parameter, CategoricalParameter)
        }

    def lean(self, name: str, verdict: Verdict) -> int:
        """1 when the trials of a verdict lie clearly higher in a range than the other ones, -1 when lower, else 0."""
        parameter = self.definition.search_space[name]
        assert not isinstance(parameter, CategoricalParameter), "only numbers lie anywhere"
        those = places(parameter, name, self.having(verdict))
        others = places(parameter, name, (trial for trial in self.clear if trial.verdict != verdict))
        if not those or not others:
            return 0
        distance = median(those) - median(others)
        return 0 if abs(distance) < CLEAR_SHARE else int(math.copysign(1, distance))


def places(parameter: Range, name: str, trials: Iterable[Judged]) -> list[float]:
    """Where values lie in their range, from 0 (low) to 1 (high), on its own scale."""
    scale: Callable[[float], float] = math.log if parameter.log else float
    low, high = scale(parameter.low), scale(parameter.last)
    inside = (value for value in numbers(name, trials) if parameter.low <= value <= parameter.last)
    return [(scale(value) - low) / (high - low) for value in inside if high > low]


def numbers(name: str, trials: Iterable[Judged]) -> list[float]:
    """The values of a parameter that are numbers, in the order of the trials."""
    values = (trial.params.get(name) for trial in trials)
    return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
