from service.schemas.study.training import Training

STRUCTURAL = {"model", "optimizer", "batch_size", "precision"}


def fusion_key(training: Training) -> str:
    """What trials must share to train together; all else is each lane's own.

    The data set and its split, the model with its shapes, the batch size, the kind of optimizer, and the precision.
    """
    shared = training.model_dump_json(include=STRUCTURAL, exclude={"model": {"dropout"}})
    return f"{training.dataset.model_dump_json(exclude={'augment'})} {shared}"
