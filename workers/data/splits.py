"""Row numbers: the split into train and validation, and the batches of an epoch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import DatasetError, ModelError


def split_rows(
    labels: Tensor, *, n_train: int | None, validation_fraction: float, split_seed: int, stratify: bool
) -> tuple[Tensor, Tensor]:
    """Return row numbers (train, validation), int64, of a data set with `labels`, int64 [n].

    `n_train` rows are drawn by `split_seed` (None: all rows). Of these, round(n_train · validation_fraction) become
    validation, but at least 1 and at most n_train - 1. With `stratify` both draws keep the share of every class, to
    within one image. Raises DatasetError if there are fewer than `n_train` rows or fewer than 2.
    """
    n = len(labels)
    n_used = n if n_train is None else n_train
    if n_used > n:
        raise DatasetError(f"n_train must be at most the number of training images: n_train={n_used}, images={n}")
    if n_used < 2:
        raise DatasetError(f"a split needs at least 2 training images: there are {n_used}")
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(split_seed))
    used, _ = _draw(rows, labels, n_used, stratify)
    n_validation = min(max(round(n_used * validation_fraction), 1), n_used - 1)
    validation, train = _draw(used, labels, n_validation, stratify)
    return train, validation


def split_given(
    labels: Tensor, n_validation: int, *, n_train: int | None, split_seed: int, stratify: bool
) -> tuple[Tensor, Tensor]:
    """Return row numbers (train, validation), int64, of data whose last `n_validation` rows are a validation split.

    `n_train` rows of the others are drawn by `split_seed`, with the share of every class for `stratify` (None: all, in
    shuffled order). Raises DatasetError if there are fewer.
    """
    n = len(labels) - n_validation
    if n_train is not None and n_train > n:
        raise DatasetError(f"n_train must be at most the number of training images: n_train={n_train}, images={n}")
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(split_seed))
    train, _ = _draw(rows, labels, n if n_train is None else n_train, stratify)
    return train, torch.arange(n, len(labels))


def split_batches(rows: Tensor, batch_size: int, *, drop_single: bool, drop_last: bool = False) -> Sequence[Tensor]:
    """Split rows into batches. The last may be smaller.

    It is left out with `drop_last` if it is smaller, and with `drop_single` if it is a single row. Raises ModelError if
    that leaves no batch.
    """
    batches: Sequence[Tensor] = torch.split(rows, batch_size)
    if drop_last and len(batches[-1]) < batch_size:
        batches = batches[:-1]
        if not batches:
            raise ModelError(f"drop_last needs a whole batch: {batch_size=}, {len(rows)} training images")
    if drop_single and len(batches[-1]) == 1:
        batches = batches[:-1]
    if not batches or (drop_single and batch_size == 1):
        raise ModelError(f"batch norm needs batches of 2 or more: {batch_size=}, {len(rows)} training images")
    return batches


def _draw(rows: Tensor, labels: Tensor, n: int, stratify: bool) -> tuple[Tensor, Tensor]:
    """Return `n` of the shuffled rows and the rest, both in their order."""
    if not stratify:
        return rows[:n], rows[n:]
    quotas = _quotas(labels[rows].bincount(), n)
    taken = torch.zeros(len(rows), dtype=torch.bool)
    for label, quota in enumerate(quotas.tolist()):
        taken[(labels[rows] == label).nonzero().squeeze(1)[:quota]] = True
    return rows[taken], rows[~taken]


def _quotas(counts: Tensor, n: int) -> Tensor:
    """Share `n` among classes by their counts, int64 [classes], by largest remainders (Hamilton's method)."""
    shares = counts * n  # in units of 1 / counts.sum(), so that integers keep them exact
    quotas = shares // counts.sum()
    n_left = n - int(quotas.sum())
    largest = (shares % counts.sum()).argsort(descending=True, stable=True)[:n_left]
    quotas[largest] += 1
    return quotas
