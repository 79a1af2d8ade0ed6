"""The rules of narrowing in a definition, as (field, message) pairs."""

from collections.abc import Iterator

from service.schemas.study.definition_fields import DefinitionFields, Narrowing
from service.schemas.study.search_space import FloatParameter


def narrowing_errors(definition: DefinitionFields) -> Iterator[tuple[str, str]]:
    """Every reason why a definition cannot be narrowed in rounds; empty for a definition without narrowing."""
    narrowing, sampler = definition.narrowing, definition.sampler
    if narrowing is None:
        return
    yield from _count_errors(definition, narrowing)
    if len(definition.objectives) > 1:
        yield "narrowing", f"narrowing takes one objective: {len(definition.objectives)} are given"
    if sampler.exhaustive:
        yield (
            "narrowing",
            f"narrowing needs a sampler that samples from ranges: {sampler.name} tries every configuration",
        )
    if definition.promotes:
        yield "narrowing", "narrowing takes no pruner that promotes: a round would wait for paused trials for ever"
    if not any(isinstance(parameter, FloatParameter) for parameter in definition.search_space.values()):
        yield "narrowing", "narrowing needs a float parameter in search_space: int and categorical are not narrowed"


def _count_errors(definition: DefinitionFields, narrowing: Narrowing) -> Iterator[tuple[str, str]]:
    n_rounds, per_round = narrowing.rounds, narrowing.trials_per_round
    if n_rounds * per_round > definition.n_trials:
        yield (
            "narrowing.trials_per_round",
            f"rounds × trials_per_round must fit n_trials: {n_rounds} × {per_round} > {definition.n_trials}",
        )
    if narrowing.keep_top > per_round:
        yield (
            "narrowing.keep_top",
            f"keep_top must not be more than trials_per_round: {narrowing.keep_top} > {per_round}",
        )
    if len(definition.enqueue) > per_round:
        yield (
            "narrowing.trials_per_round",
            f"trials_per_round must hold what is enqueued: {per_round} < {len(definition.enqueue)}",
        )
