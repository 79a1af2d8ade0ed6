from typing import Any

import pytest
import torch

from service.schemas.study.data import CustomDataset
from workers.data.batches import make_batches
from workers.errors import DatasetError
from workers.user_process.custom_parts.dataset import custom_trial_data, load_custom_test, load_splits
from workers.user_process.failures import EntrypointError, RetryElsewhereError

HERE = "tests.unit.workers.user_process.custom_parts.nets"
CPU = torch.device("cpu")
SEED = 3


def dataset(kind: str, name: str = "build_data") -> CustomDataset:
    return CustomDataset(entrypoint=f"{HERE}:{name}", arguments={"kind": kind})


@pytest.mark.parametrize("kind", ["tensors", "tensor data sets", "doubles"])
def test_tensors_are_taken_unchanged_with_validation_after_train(kind: str) -> None:
    data = custom_trial_data(load_splits(dataset(kind), SEED), CPU)

    assert data.images.dtype == torch.float32
    assert data.images.shape == (10, 5)
    assert (data.train.tolist(), data.validation.tolist()) == (list(range(6)), [6, 7, 8, 9])
    assert data.n_classes == 2
    assert data.description.startswith("inputs of float32 [5] in 2 classes; train: 6 (class 0 ")
    torch.testing.assert_close(make_batches(data, torch.float32).load(data.validation), data.images[6:])


def test_examples_are_stacked() -> None:
    train = load_splits(dataset("examples"), SEED).train
    assert train.inputs.tolist() == [[1.0] * 5, [0.0] * 5]
    assert train.labels.tolist() == [1, 0]


def test_uint8_inputs_stay_uint8_and_reach_the_model_from_0_to_1() -> None:
    data = custom_trial_data(load_splits(dataset("bytes"), SEED), CPU)
    assert data.images.dtype == torch.uint8
    batch = make_batches(data, torch.float32).load(data.train)
    torch.testing.assert_close(batch, data.images[:6].float() / 255)


def test_other_integers_stay_unchanged() -> None:
    data = custom_trial_data(load_splits(CustomDataset(entrypoint=f"{HERE}:build_words_data"), SEED), CPU)
    batch = make_batches(data, torch.float32).load(data.train[:2])
    assert batch.dtype == torch.int64
    assert batch.tolist() == data.images[:2].tolist()


def test_random_numbers_of_the_function_come_from_the_studys_seed() -> None:
    """Every trial sees the same data, whatever its process has drawn before."""
    drawn = CustomDataset(entrypoint=f"{HERE}:build_drawn_data")

    def inputs(seed: int, before: int) -> torch.Tensor:
        torch.rand(before)
        load_splits(dataset("tensors"), SEED)  # another one's, so that it is read anew
        return load_splits(drawn, seed).train.inputs

    assert torch.equal(inputs(SEED, 0), inputs(SEED, 7))
    assert (inputs(SEED, 0) != inputs(SEED + 1, 0)).all()


def test_the_test_part_is_read_on_request() -> None:
    assert load_custom_test(dataset("with a test part"), SEED).labels.tolist() == [0, 1, 0]
    with pytest.raises(DatasetError, match=r"must return \(train, validation, test\) to be tested"):
        load_custom_test(dataset("tensors"), SEED)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("one part", r"must return \(train, validation\) or \(train, validation, test\): 1 values"),
        ("a dict", r"must return \(train, validation\) or .*: dict"),
        ("a number", "validation must be a pair of tensors, inputs and labels, or a torch data set of pairs: int"),
        ("three tensors", "set of pairs: tuple of Tensor, Tensor, Tensor"),
        ("a stream", "validation must be a map-style data set, with a length and examples by index: Stream"),
        ("float labels", "labels of validation must be integers, one class number each: torch.float32"),
        ("negative labels", "labels of validation must be at least 0: -1"),
        ("one-hot labels", r"labels of validation must be \[n\], one class for each input: \[4, 2\], n=4"),
        ("no examples", "inputs of validation must be .* with n of at least 1"),
        ("flat inputs", r"inputs of validation must be \[n, …\]"),
        ("complex inputs", "inputs of validation must be floating, uint8 or other integers: torch.complex64"),
        ("nan", "inputs of validation must be finite"),
        ("sparse", "train must be dense tensors with values: sparse_coo on cpu, strided on cpu"),
        ("without values", "validation must be dense tensors with values: strided on meta, strided on cpu"),
        ("one class", "nets:build_data must have at least two classes .*: all 6 training examples are of class 3"),
        ("an unknown class in test", "labels of test must be classes of train or validation, 0 to 1: 2"),
        ("other shapes", r"inputs of validation must be like those of train: float32 \[6\], not float32 \[5\]"),
        ("other kinds", r"inputs of validation must be like those of train: uint8 \[5\], not float32 \[5\]"),
        ("shapes that differ", r"inputs of train must have one shape and dtype: \[6\] of torch.float32 after \[5\]"),
        ("random inputs", "train must be the same each time they are read: example 0 differs. .* use dataset.augment"),
        ("one random input", "examples of train must be the same each time they are read: example 20 differs"),
        ("random classes", "examples of validation must be the same each time they are read: example 0 differs"),
        ("no pairs", "example 0 of train must be a pair of a tensor and a class: Tensor"),
        ("words for classes", "label of example 0 of train must be the number of a class: 'cat'"),
    ],
)
def test_an_object_that_is_no_data_set_is_refused_with_a_reason(kind: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_splits(dataset(kind), SEED)


@pytest.mark.parametrize(
    ("entrypoint", "error", "message"),
    [
        ("no_such_package.nets:build", RetryElsewhereError, "cannot be imported: No module named 'no_such_package'"),
        (f"{HERE}:no_such_function", EntrypointError, "must have a function no_such_function: there is none"),
        (f"{HERE}:biuld_data", EntrypointError, "must have a function biuld_data: did you mean build_data"),
        (f"{HERE}:__name__", EntrypointError, "must have a function __name__: it is a str"),
    ],
)
def test_an_entrypoint_that_cannot_be_found_is_an_error(entrypoint: str, error: type[Any], message: str) -> None:
    with pytest.raises(error, match=message):
        load_splits(CustomDataset(entrypoint=entrypoint), SEED)
