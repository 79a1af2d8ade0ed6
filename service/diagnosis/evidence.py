"""What advice is based on: the verdicts of a study's trials, and where those trials lie in the search space."""

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

NumericParameter = FloatParameter | IntParameter

CLEAR_SHARE = 0.15
MIN_BEST = 3
BEST_SHARE = 0.1


@dataclass(frozen=True)
class JudgedTrial:
    """One trial with its verdict.

    `rank` is the first objective's value, with the sign by which smaller is better; None unless the trial is complete.
    """

    number: int
    params: Mapping[str, Scalar]
    judgement: Judgement
    n_epochs: int
    rank: float | None = None
    is_pruned: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict of the judgement."""
        return self.judgement.verdict


class Evidence:
    """The judged trials of a study: all of them, the clear ones (whose verdict is not `unclear`), and the best ones."""

    def __init__(self, definition: Definition, trials: Iterable[JudgedTrial]) -> None:
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
        """The definition's built-in training, with the fields that are not searched."""
        assert isinstance(self.definition.training, Training), "an entrypoint has none of these fields"
        return self.definition.training

    def with_verdict(self, verdict: Verdict) -> list[JudgedTrial]:
        """The trials with this clear verdict."""
        return [trial for trial in self.clear if trial.verdict == verdict]

    def share(self, verdict: Verdict) -> float:
        """Share of the trials with this verdict among the clear trials, 0 to 1."""
        return len(self.with_verdict(verdict)) / len(self.clear) if self.clear else 0.0

    def ranges(self, is_wanted: Callable[[str], bool] = lambda _name: True) -> dict[str, NumericParameter]:
        """The numeric parameters of the search space whose names are wanted."""
        space = self.definition.search_space
        return {
            name: parameter
            for name, parameter in space.items()
            if is_wanted(name) and not isinstance(parameter, CategoricalParameter)
        }

    def lean(self, name: str, verdict: Verdict) -> int:
        """1 if trials with this verdict lie clearly higher in a range than the other trials, -1 if lower, else 0."""
        parameter = self.definition.search_space[name]
        assert not isinstance(parameter, CategoricalParameter), "choices have no order"
        with_verdict = relative_positions(parameter, name, self.with_verdict(verdict))
        others = relative_positions(parameter, name, (trial for trial in self.clear if trial.verdict != verdict))
        if not with_verdict or not others:
            return 0
        distance = median(with_verdict) - median(others)
        return 0 if abs(distance) < CLEAR_SHARE else int(math.copysign(1, distance))


def relative_positions(parameter: NumericParameter, name: str, trials: Iterable[JudgedTrial]) -> list[float]:
    """Where the trials' values lie in a range: 0 is its low end and 1 its high end, on the parameter's own scale."""
    scale: Callable[[float], float] = math.log if parameter.log else float
    low, high = scale(parameter.low), scale(parameter.last)
    inside = (value for value in numeric_values(name, trials) if parameter.low <= value <= parameter.last)
    return [(scale(value) - low) / (high - low) for value in inside if high > low]


def numeric_values(name: str, trials: Iterable[JudgedTrial]) -> list[float]:
    """The trials' values of a parameter, in order, without those that are no numbers."""
    values = (trial.params.get(name) for trial in trials)
    return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
