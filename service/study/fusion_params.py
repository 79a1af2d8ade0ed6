"""Which trials of a study a worker can train together: those with the same fusion key, judged by their parameters."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from enum import IntEnum

from service.schemas.fields import Scalar

FUSION_FIELDS = ("model", "optimizer", "batch_size", "precision", "dataset")
"""Fields of a training whose parameters are part of the fusion key, like those of `workers/lanes/fusion_key.py`."""
PER_LANE = ("dataset.augment", "model.dropout")
"""Parameters inside these fields that may still differ between trials that train together."""
PADDED = ("model.hidden", "batch_size")
"""Sizes of an mlp. Trials in which they differ can train together, but the smaller ones are padded."""

FusionValues = list[tuple[str, Scalar]]


class Fusion(IntEnum):
    """How two trials of one study can train together, the best first."""

    SAME_SIZES = 0
    PADDED = 1
    APART = 2


def fusion_params(names: Iterable[str]) -> tuple[str, ...]:
    """The names of the parameters that trials must share to train together without padding."""
    return tuple(name for name in names if name.split(".")[0] in FUSION_FIELDS and not _is_in(name, PER_LANE))


def fusion_with(
    like: Mapping[str, Scalar], names: Sequence[str], *, pads: bool
) -> Callable[[Mapping[str, Scalar]], Fusion]:
    """A function that says how a trial with its parameters can train together with one with the parameters `like`.

    They are judged by their `fusion_params`, which are given by name. `pads` says that the study's model is an mlp.
    Only an mlp is padded.
    """
    sizes = frozenset(name for name in names if _is_in(name, PADDED))
    values = _values(like, names)
    padded = _without_sizes(values, sizes)

    def how(params: Mapping[str, Scalar]) -> Fusion:
        others = _values(params, names)
        if others == values:
            return Fusion.SAME_SIZES
        return Fusion.PADDED if pads and _without_sizes(others, sizes) == padded else Fusion.APART

    return how


def _values(params: Mapping[str, Scalar], names: Iterable[str]) -> FusionValues:
    return [(name, params[name]) for name in names if name in params]


def _without_sizes(values: FusionValues, sizes: Set[str]) -> FusionValues:
    """The values with sizes left out. Their names stay: each width that is there is a hidden layer."""
    return [(name, 0 if name in sizes else value) for name, value in values]


def _is_in(name: str, fields: Iterable[str]) -> bool:
    return any(name == field or name.startswith(f"{field}.") for field in fields)
