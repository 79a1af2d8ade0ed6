from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import DatasetError, ModelError


def split_rows(
    labels: Tensor, *, n_train: int | None, validation_fraction: float, split_seed: int, stratify: bool
) -> tuple[Tensor, Tensor]:
    """Row numbers (train, validation), int64, drawn from the training data with `labels`, int64 [n].

    The rows are shuffled, the first `n_train` kept, and round(kept · fraction) of these, at least 1 and at most
    all but one, become validation. With `stratify` both draws keep every class's share, to within one image.
    Raises DatasetError when there are fewer than `n_train` rows, or fewer than 2.
    """
    n = len(labels)
    wanted = n if n_train is None else n_train
    if wanted > n:
        raise DatasetError(f"n_train must not exceed the training images there are: n_train={wanted}, there are {n}")
    if wanted < 2:
        raise DatasetError(f"a split needs at least 2 training images: there are {wanted}")
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(split_seed))
    kept, _ = _draw(rows, labels, wanted, stratify)
    n_validation = min(max(round(wanted * validation_fraction), 1), wanted - 1)
    validation, train = _draw(kept, labels, n_validation, stratify)
    return train, validation


def split_batches(rows: Tensor, batch_size: int, *, drop_single: bool) -> Sequence[Tensor]:
    """Batches of rows; the last may be smaller, and is left out when it is a single row and `drop_single` says so.

    Raises ModelError when that leaves nothing.
    """
    batches: Sequence[Tensor] = torch.split(rows, batch_size)
    if drop_single and len(batches[-1]) == 1:
        batches = batches[:-1]
    if not batches or (drop_single and batch_size == 1):
        raise ModelError(f"batch norm needs batches of 2 or more: {batch_size=}, {len(rows)} training images")
    return batches


def _draw(rows: Tensor, labels: Tensor, n: int, stratify: bool) -> tuple[Tensor, Tensor]:
    """Take `n` of the shuffled rows; the rest comes second, and both keep their order."""
    if not stratify:
        return rows[:n], rows[n:]
    quotas = _quotas(labels[rows].bincount(), n)
    taken = torch.zeros(len(rows), dtype=torch.bool)
    for label, quota in enumerate(quotas.tolist()):
        taken[(labels[rows] == label).nonzero().squeeze(1)[:quota]] = True
    return rows[taken], rows[~taken]


def _quotas(counts: Tensor, n: int) -> Tensor:
    """Share out `n` by class counts, int64 [classes], largest remainders first (Hamilton's method)."""
    shares = counts * n  # in units of 1/total, so that everything stays exact
    quotas = shares // counts.sum()
    left = n - int(quotas.sum())
    largest = (shares % counts.sum()).argsort(descending=True, stable=True)[:left]
    quotas[largest] += 1
    return quotas
