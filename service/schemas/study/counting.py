"""Counts the configurations of a search space, as far as a limit."""

from collections import Counter
from collections.abc import Mapping

from service.schemas.study.search_space import Parameter, identity

Condition = tuple[str, str]
"""The name of a conditional parameter and of one of the parameters that it depends on."""


def n_configurations(space: Mapping[str, Parameter], limit: int) -> int | None:
    """Number of distinct configurations, counted up to `limit`; None if a parameter is continuous.

    The parameters are taken one after another. All beginnings of configurations that meet the same conditions of later
    parameters have the same continuations, so these are counted together. Each has at least one, so that the count can
    end as soon as there are `limit` beginnings.
    """
    if any(parameter.size() is None for parameter in space.values()):
        return None
    bits = _condition_bits(space)
    counts: Counter[int] = Counter({0: 1})  # the number of beginnings by the conditions that they meet
    for name, parameter in space.items():
        needed = sum(bits[name, parent] for parent in parameter.when or {})
        values = _n_values_by_conditions(space, name, bits)
        further: Counter[int] = Counter()
        for met, n in counts.items():
            if met & needed != needed:
                further[met & ~needed] += n
                continue
            for newly_met, n_values in values.items():
                further[(met & ~needed) | newly_met] += n * n_values
        counts = further
        if counts.total() >= limit:
            return limit
    return counts.total()


def _condition_bits(space: Mapping[str, Parameter]) -> dict[Condition, int]:
    conditions = [(name, parent) for name, parameter in space.items() for parent in parameter.when or {}]
    return {condition: 1 << index for index, condition in enumerate(conditions)}


def _n_values_by_conditions(space: Mapping[str, Parameter], name: str, bits: Mapping[Condition, int]) -> Counter[int]:
    """How many values a parameter has that meet the same conditions of other parameters."""
    met: Counter[tuple[bool, object]] = Counter()
    for (child, parent), bit in bits.items():
        if parent != name:
            continue
        for value in {identity(value) for value in (space[child].when or {})[name] if space[name].contains(value)}:
            met[value] += bit
    found = Counter(met.values())
    found[0] += (space[name].size() or 0) - len(met)
    return +found
