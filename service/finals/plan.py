"""The plan of a final evaluation: its candidates, its seeds, and what each trial of the linked study is for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from service.finals.confidence import ConfirmedCandidate
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from service.study.seeds import trial_seed
from storage import FinalRecord

REPEATS = 100
"""Number of repeats reserved for each evaluation of a study, so that no two evaluations share a seed."""
FIRST_REPEAT = 1
"""Repeat 0 is the training of the search."""
ROUNDING = 1e-9


class PlannedCandidate(BaseModel):
    """A trial of the search whose configuration is trained again, with its objective value in the search."""

    trial_number: int
    value: float
    params: Params


class Plan(BaseModel):
    """What a final evaluation does.

    The first trials of the linked study train each candidate with each seed, one candidate after another. The last
    trial trains the winner and reads the test split.
    """

    n_seeds: int
    train_on_validation: bool
    candidates: list[PlannedCandidate]

    @property
    def n_confirmations(self) -> int:
        """Number of trials that train candidates again."""
        return len(self.candidates) * self.n_seeds

    def is_test_trial(self, number: int) -> bool:
        """Whether the linked study's trial of this number reads the test split."""
        return number == self.n_confirmations

    def trials_of(self, candidate: int) -> range:
        """Numbers of the linked study's trials that train a candidate, given by its index in the plan."""
        return range(candidate * self.n_seeds, (candidate + 1) * self.n_seeds)


class Ranking(BaseModel):
    """The confirmed candidates, best first, and whether the first one is significantly better than the next."""

    confirmed: list[ConfirmedCandidate]
    distinguishable: bool | None
    comparison: str

    @property
    def winner(self) -> ConfirmedCandidate:
        """The best confirmed candidate."""
        return self.confirmed[0]


def plan_of(final: FinalRecord) -> Plan:
    """The plan in the record of a final evaluation."""
    return Plan.model_validate(final.plan)


def ranking_of(final: FinalRecord) -> Ranking | None:
    """The ranking in the record of a final evaluation; None until the confirmations have ended."""
    return None if final.ranking is None else Ranking.model_validate(final.ranking)


def linked_definition(original: Definition, name: str, plan: Plan) -> Definition:
    """The definition of the linked study: all its trials are enqueued, and none is pruned."""
    written = original.model_dump(mode="json", exclude_unset=True)
    for left_out in (
        "timeout_seconds",
        "target_value",
        "patience",
        "max_total_epochs",
        "max_device_hours",
        "confirmation",
        "narrowing",
        "warm_start_from",
        "warm_start_defaults",
    ):
        written.pop(left_out, None)
    repeated = [candidate.params for candidate in plan.candidates for _ in range(plan.n_seeds)]
    changes = {"name": name, "sampler": "random", "pruner": "none", "enqueue": repeated, "n_trials": len(repeated)}
    return Definition.model_validate({**written, **changes, "max_failures_in_a_row": len(repeated)})


def confirmation_seed(seed: int, final: FinalRecord, plan: Plan, number: int) -> int:
    """The seed of a trial of the linked study, from the study's seed, the candidate's trial number and the repeat."""
    ranking = ranking_of(final)
    if plan.is_test_trial(number) and ranking is not None:
        trial_number, repeat = ranking.winner.trial_number, plan.n_seeds
    else:
        trial_number, repeat = plan.candidates[number // plan.n_seeds].trial_number, number % plan.n_seeds
    return trial_seed(seed, trial_number, FIRST_REPEAT + (final.number - 1) * REPEATS + repeat)


@dataclass(frozen=True)
class Repetition:
    """A trial of the linked study: its objective value (None if it has no finite one) and its constraint values."""

    value: float | None
    constraints: Mapping[str, float] = field(default_factory=dict)


def confirmed_candidates(plan: Plan, repetitions: Sequence[Repetition]) -> list[ConfirmedCandidate]:
    """The plan's candidates with the values of their repetitions, which are the linked study's trials by number."""
    confirmed = []
    for index, candidate in enumerate(plan.candidates):
        complete = [repetitions[number] for number in plan.trials_of(index) if repetitions[number].value is not None]
        values = [repetition.value for repetition in complete if repetition.value is not None]
        violated = _violated([repetition.constraints for repetition in complete])
        confirmed.append(ConfirmedCandidate(candidate.trial_number, values, violated))
    return confirmed


def _violated(constraints: Sequence[Mapping[str, float]]) -> list[str]:
    """Names of the constraints that are violated in the mean over the repetitions."""
    names = dict.fromkeys(name for values in constraints for name in values)
    return [name for name in names if not _is_satisfied([values[name] for values in constraints if name in values])]


def _is_satisfied(values: Sequence[float]) -> bool:
    """Whether a constraint's mean value is at most 0, up to rounding errors. False for infinities of both signs."""
    rounding = ROUNDING * max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return sum(values) <= rounding
