"""What a final evaluation does: which configurations, how often, and which of the linked study's trials does what."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from service.finals.confidence import Confirmed
from service.schemas.study.definition import Definition
from service.schemas.study.definition_fields import Params
from storage import FinalRecord

REPEATS = 100
"""Seeds of one evaluation; the next one's are others."""
FIRST_REPEAT = 1
"""0 is the search's own."""


ROUNDING = 1e-9


class Planned(BaseModel):
    """A configuration of the search, and the objective value that it had there."""

    trial_number: int
    value: float
    params: Params


class Plan(BaseModel):
    """The linked study has the trials of each candidate's seeds, one candidate after another, and then the test's."""

    n_seeds: int
    train_on_validation: bool
    candidates: list[Planned]

    @property
    def n_confirmations(self) -> int:
        return len(self.candidates) * self.n_seeds

    def is_test(self, number: int) -> bool:
        """Whether a trial of the linked study is the one that reads the test split."""
        return number == self.n_confirmations

    def trials_of(self, candidate: int) -> range:
        """Numbers in the linked study of a candidate's confirmations, by its place in the plan."""
        return range(candidate * self.n_seeds, (candidate + 1) * self.n_seeds)


class Ranking(BaseModel):
    """The confirmed configurations, best first, and how sure it is that the first one is the best."""

    confirmed: list[Confirmed]
    distinguishable: bool | None
    comparison: str

    @property
    def winner(self) -> Confirmed:
        return self.confirmed[0]


def plan_of(final: FinalRecord) -> Plan:
    return Plan.model_validate(final.plan)


def ranking_of(final: FinalRecord) -> Ranking | None:
    return None if final.ranking is None else Ranking.model_validate(final.ranking)


def linked_definition(original: Definition, name: str, plan: Plan) -> Definition:
    """The definition of the study that confirms: every trial is given, and trained to its end."""
    written = original.model_dump(mode="json", exclude_unset=True)
    for left_out in ("timeout_seconds", "target_value", "confirmation", "narrowing", "warm_start_from"):
        written.pop(left_out, None)
    repeated = [candidate.params for candidate in plan.candidates for _ in range(plan.n_seeds)]
    changes = {"name": name, "sampler": "random", "pruner": "none", "enqueue": repeated, "n_trials": len(repeated)}
    return Definition.model_validate({**written, **changes})


def confirmation_seed(seed: int, final: FinalRecord, plan: Plan, number: int) -> int:
    """The seed of a trial of the linked study: f(seed, trial number in the search, repeat)."""
    ranking = ranking_of(final)
    if plan.is_test(number) and ranking is not None:
        trial_number, repeat = ranking.winner.trial_number, plan.n_seeds
    else:
        trial_number, repeat = plan.candidates[number // plan.n_seeds].trial_number, number % plan.n_seeds
    return trial_seed(seed, trial_number, FIRST_REPEAT + (final.number - 1) * REPEATS + repeat)


@dataclass(frozen=True)
class Repetition:
    """A trial of the linked study: its objective value, None if it failed, and its constraints as Optuna has them."""

    value: float | None
    constraints: Mapping[str, float] = field(default_factory=dict)


def confirmations(plan: Plan, repetitions: Sequence[Repetition]) -> list[Confirmed]:
    """The candidates with what their repetitions came to, from the linked study's trials by number."""
    found = []
    for place, candidate in enumerate(plan.candidates):
        complete = [one for number in plan.trials_of(place) if (one := repetitions[number]).value is not None]
        values = [one.value for one in complete if one.value is not None]
        found.append(Confirmed(candidate.trial_number, values, _violated([one.constraints for one in complete])))
    return found


def _violated(constraints: Sequence[Mapping[str, float]]) -> list[str]:
    """Those that repetitions are beyond, in the mean."""
    names = dict.fromkeys(name for one in constraints for name in one)
    return [name for name in names if not _keeps([one[name] for one in constraints if name in one])]


def _keeps(distances: Sequence[float]) -> bool:
    """Whether the mean is at most 0, but for the rounding of finite numbers; not where infinities cancel."""
    rounding = ROUNDING * max((abs(one) for one in distances if math.isfinite(one)), default=0.0)
    return sum(distances) <= rounding


def trial_seed(seed: int, number: int, repeat: int = 0) -> int:
    """A trial's own seed, 48 bits, so that every JSON reader keeps it exactly."""
    digest = hashlib.blake2b(f"{seed}/{number}/{repeat}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")
