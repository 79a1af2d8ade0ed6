"""The data that trials see. The test part is read by workers.final_test.test_split alone."""

from functools import lru_cache
from pathlib import Path

from service.schemas.study.data import Dataset
from workers.data.images import LabelledImages


def load_train(dataset: Dataset, data_dir: Path, download: bool) -> LabelledImages:
    """The train part, read once per process. Raises DatasetError, which names the path looked at."""
    return _cached(dataset.name, dataset.path, dataset.image_size, data_dir, download)


@lru_cache(maxsize=2)
def _cached(name: str, path: str | None, image_size: int | None, data_dir: Path, download: bool) -> LabelledImages:
    from workers.data.by_name import (
        read_part,  # with torchvision, which takes two seconds that an own data set does without
    )

    return read_part(name, path, image_size, data_dir, download, train=True)
