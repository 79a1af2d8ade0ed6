"""Which trials of a study a worker can train together: those with the same fusion key, judged by their parameters."""

from collections.abc import Iterable, Mapping

from service.schemas.fields import Scalar

FUSION_FIELDS = ("model", "optimizer", "batch_size", "precision", "dataset")
"""Fields of a training whose parameters are part of the fusion key, like those of `workers/lanes/fusion_key.py`."""
PER_LANE = ("dataset.augment", "model.dropout")
"""Parameters inside these fields that may still differ between trials that train together."""

FusionValues = tuple[tuple[str, Scalar], ...]


def fusion_params(names: Iterable[str]) -> tuple[str, ...]:
    """The names of the parameters that trials must share to train together."""
    return tuple(name for name in names if name.split(".")[0] in FUSION_FIELDS and not _is_per_lane(name))


def _is_per_lane(name: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in PER_LANE)


def fusion_values(params: Mapping[str, Scalar], names: Iterable[str]) -> FusionValues:
    """The values of the `fusion_params`, given by name. Trials of one study with equal values can train together."""
    return tuple((name, params[name]) for name in names if name in params)
