"""The fusion key: which trials can share the lanes of one group."""

from service.schemas.study.training import Training

FUSION_FIELDS = {"model", "optimizer", "batch_size", "precision"}


def fusion_key(training: Training) -> str:
    """Return the settings that trials must share to train together, as JSON text.

    These are the data set with its split, the model with its shapes, the batch size, the kind of optimizer and the
    precision. Each lane has its own value of every other setting.
    """
    shared = training.model_dump_json(include=FUSION_FIELDS, exclude={"model": {"dropout"}})
    return f"{training.dataset.model_dump_json(exclude={'augment'})} {shared}"
