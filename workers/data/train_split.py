"""The train part of built-in data sets. Only workers.final_test.test_split reads the test part."""

import json
from functools import lru_cache
from pathlib import Path

from service.schemas.study.data import BadImages, Dataset
from workers.data.by_name import read_part
from workers.data.images import LabelledImages
from workers.data.shared_parts import read_shared
from workers.fleet.shared_memory import shared_files


def load_train(dataset: Dataset, data_dir: Path, download: bool) -> LabelledImages:
    """Return the train part, which is read once by all worker processes. Raises DatasetError, which names the path."""
    return _cached(dataset.name, dataset.path, dataset.image_size, dataset.on_bad_image, data_dir, download)


@lru_cache(maxsize=2)
def _cached(
    name: str, path: str | None, image_size: int | None, on_bad_image: BadImages, data_dir: Path, download: bool
) -> LabelledImages:
    def read() -> LabelledImages:
        return read_part(name, path, image_size, on_bad_image, data_dir, download, train=True)

    key = json.dumps([name, path, image_size, on_bad_image, str(data_dir)])
    return read_shared(key, read, shared_files())
