"""The fusion key: which trials can share the lanes of one group."""

from collections.abc import Sequence

from service.schemas.study.models import Mlp
from service.schemas.study.training import Training

FUSION_FIELDS = {"model", "optimizer", "batch_size", "precision"}


def fusion_key(training: Training) -> str:
    """Return the settings that trials must share to train together, as JSON text.

    These are the data set with its split, the model, the kind of optimizer and the precision. Of an mlp the number of
    hidden layers counts, but neither their widths nor the batch size: narrower lanes are padded. Each lane has its own
    value of every other setting.
    """
    model = training.model
    if not isinstance(model, Mlp):
        return shape_key(training)
    return shape_key(resized(training, [0] * len(model.hidden), 0))


def shape_key(training: Training) -> str:
    """Return the fusion key together with the sizes: trials that share it train together without padding."""
    shared = training.model_dump_json(include=FUSION_FIELDS, exclude={"model": {"dropout"}})
    return f"{training.dataset.model_dump_json(exclude={'augment'})} {shared}"


def widest(trainings: Sequence[Training]) -> Training:
    """Return settings with the sizes that hold those of all trainings, which share a fusion key."""
    first, hidden = trainings[0], hidden_widths(trainings[0])
    batch_size = max(training.batch_size for training in trainings)
    widths = [max(layer) for layer in zip(*map(hidden_widths, trainings), strict=True)]
    return first if (widths, batch_size) == (hidden, first.batch_size) else resized(first, widths, batch_size)


def same_sizes(training: Training, other: Training) -> bool:
    """Return whether trainings that share a fusion key share their shape key too."""
    return (hidden_widths(training), training.batch_size) == (hidden_widths(other), other.batch_size)


def hidden_widths(training: Training) -> list[int]:
    """Return the widths of the hidden layers of an mlp. Empty for other models, which are never padded."""
    return training.model.hidden if isinstance(training.model, Mlp) else []


def resized(training: Training, hidden: Sequence[int], batch_size: int) -> Training:
    """Return the settings of an mlp with other widths and another batch size. They are not validated."""
    model = training.model.model_copy(update={"hidden": list(hidden)})
    return training.model_copy(update={"model": model, "batch_size": batch_size})
