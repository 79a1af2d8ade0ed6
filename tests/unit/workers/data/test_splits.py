import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.data.splits import split_batches, split_rows
from workers.errors import DatasetError, ModelError

LABELS = torch.arange(1000) % 10


def split(labels: torch.Tensor = LABELS, **changes: object) -> tuple[torch.Tensor, torch.Tensor]:
    arguments = {"n_train": None, "validation_fraction": 0.2, "split_seed": 0, "stratify": True}
    return split_rows(labels, **(arguments | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize(
    ("n_train", "fraction", "n_validation"),
    [(None, 0.2, 200), (500, 0.2, 100), (333, 0.1, 33), (7, 0.5, 4), (2, 0.001, 1), (2, 0.999, 1), (50, 0.001, 1)],
)
def test_sizes_are_exact(n_train: int | None, fraction: float, n_validation: int, stratify: bool) -> None:
    train, validation = split(n_train=n_train, validation_fraction=fraction, stratify=stratify)
    assert len(validation) == n_validation
    assert len(train) + len(validation) == (n_train or 1000)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda counts: sum(counts) >= 2),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**48 - 1),
)
def test_every_class_keeps_its_share_to_within_one_image(counts: list[int], fraction: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    train, validation = split(labels, validation_fraction=fraction, split_seed=seed)
    assert sorted(torch.cat([train, validation]).tolist()) == list(range(len(labels)))
    got = labels[validation].bincount(minlength=len(counts))
    expected = torch.tensor(counts) * len(validation) / len(labels)
    assert bool(((got - expected).abs() < 1).all())


def test_n_train_keeps_the_share_of_each_class() -> None:
    labels = torch.cat([torch.zeros(900, dtype=torch.int64), torch.ones(100, dtype=torch.int64)])
    train, validation = split(labels, n_train=100)
    assert labels[torch.cat([train, validation])].bincount().tolist() == [90, 10]
    assert labels[validation].bincount().tolist() == [18, 2]


def test_the_same_seed_gives_the_same_split_whatever_the_global_generator() -> None:
    torch.manual_seed(1)
    first = split(split_seed=5)
    torch.manual_seed(2)
    second = split(split_seed=5)
    other = split(split_seed=6)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[1], other[1])


def test_rows_are_shuffled_before_n_train_are_taken() -> None:
    train, validation = split(n_train=100, stratify=False)
    assert max(train.tolist() + validation.tolist()) > 900


@pytest.mark.parametrize(("labels", "n_train"), [(LABELS, 1001), (LABELS[:1], None)])
def test_too_few_images_are_an_error_with_the_numbers(labels: torch.Tensor, n_train: int | None) -> None:
    with pytest.raises(DatasetError, match=str(len(labels))):
        split(labels, n_train=n_train)


@pytest.mark.parametrize(
    ("n", "batch_size", "drop_single", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (9, 4, False, [4, 4, 1]),
        (9, 4, True, [4, 4]),
        (10, 4, True, [4, 4, 2]),
        (3, 8, True, [3]),
        (2, 1, False, [1, 1]),
    ],
)
def test_the_last_batch_is_dropped_only_when_batch_norm_would_get_one(
    n: int, batch_size: int, drop_single: bool, sizes: list[int]
) -> None:
    batches = split_batches(torch.arange(n), batch_size, drop_single=drop_single)
    assert [len(batch) for batch in batches] == sizes


@pytest.mark.parametrize(("n", "batch_size"), [(1, 8), (5, 1)])
def test_batch_norm_without_a_batch_is_an_error(n: int, batch_size: int) -> None:
    with pytest.raises(ModelError, match=f"{batch_size=}"):
        split_batches(torch.arange(n), batch_size, drop_single=True)
