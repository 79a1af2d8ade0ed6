"""Which trials a worker may train together, as far as parameters tell: workers call it the fusion key."""

from collections.abc import Iterable, Mapping

from service.schemas.fields import Scalar

STRUCTURAL = ("model", "optimizer", "batch_size", "precision", "dataset")
EACH_ITS_OWN = ("dataset.augment", "model.dropout")

Shape = tuple[tuple[str, Scalar], ...]


def structural(names: Iterable[str]) -> tuple[str, ...]:
    """The parameters that trials must share to train together."""
    return tuple(name for name in names if name.split(".")[0] in STRUCTURAL and not _is_each_its_own(name))


def _is_each_its_own(name: str) -> bool:
    return any(name == own or name.startswith(f"{own}.") for own in EACH_ITS_OWN)


def shape_of(params: Mapping[str, Scalar], names: Iterable[str]) -> Shape:
    """The values of some parameters; trials of one study with equal shapes can train together."""
    return tuple((name, params[name]) for name in names if name in params)
