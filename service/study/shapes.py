"""Which trials of a study a worker can train together, by their parameters (see the workers' fusion key)."""

from collections.abc import Iterable, Mapping

from service.schemas.fields import Scalar

STRUCTURAL = ("model", "optimizer", "batch_size", "precision", "dataset")
PER_LANE = ("dataset.augment", "model.dropout")
"""Parameters below a structural one that may still differ between trials that train together."""

Shape = tuple[tuple[str, Scalar], ...]


def structural_params(names: Iterable[str]) -> tuple[str, ...]:
    """The names of the parameters that trials must share to train together."""
    return tuple(name for name in names if name.split(".")[0] in STRUCTURAL and not _is_per_lane(name))


def _is_per_lane(name: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in PER_LANE)


def shape_of(params: Mapping[str, Scalar], names: Iterable[str]) -> Shape:
    """The values of the named parameters. Trials of one study with equal shapes can train together."""
    return tuple((name, params[name]) for name in names if name in params)
