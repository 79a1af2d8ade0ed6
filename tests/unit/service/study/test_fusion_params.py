from typing import Any

import pytest

from service.schemas.fields import Scalar
from service.schemas.study.resolve import resolve
from service.schemas.study.training import Training
from service.study.fusion_params import Fusion, fusion_params, fusion_with
from workers.lanes.fusion_key import fusion_key, shape_key


def as_workers_do(first: dict[str, Any], second: dict[str, Any]) -> Fusion:
    trainings = [Training.model_validate(training) for training in (first, second)]
    if len({shape_key(training) for training in trainings}) == 1:
        return Fusion.SAME_SIZES
    return Fusion.PADDED if len({fusion_key(training) for training in trainings}) == 1 else Fusion.APART


@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_the_service_judges_trials_as_workers_do(model: str) -> None:
    fixed = {"dataset": "digits", "model": model}
    values: dict[str, tuple[Scalar, Scalar]] = {
        "learning_rate": (0.1, 0.2),
        "dropout": (0.0, 0.5),
        "weight_decay": (0.0, 0.1),
        "momentum": (0.0, 0.9),
        "noise_std": (0.0, 0.1),
        "label_smoothing": (0.0, 0.1),
        "optimizer": ("sgd", "adam"),
        "batch_size": (32, 64),
        "precision": ("fp32", "bf16"),
        "dataset.augment": ("none", "crop"),
        "dataset.n_train": (100, 200),
        "model.activation": ("tanh", "relu"),
    }
    names = fusion_params(values)
    for name, (one, other) in values.items():
        expected = as_workers_do(*(resolve(fixed, {name: value}) for value in (one, other)))
        found = fusion_with({name: other}, names, pads=model == "mlp")({name: one})
        assert found == expected, name


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"model.hidden.0": 8, "model.hidden.1": 4}, Fusion.SAME_SIZES),
        ({"model.hidden.0": 8, "model.hidden.1": 5}, Fusion.PADDED),
        ({"model.hidden.0": 9, "model.hidden.1": 5, "batch_size": 64}, Fusion.PADDED),
        ({"model.hidden.0": 8}, Fusion.APART),
        ({"model.hidden.0": 8, "model.hidden.1": 4, "optimizer": "sgd"}, Fusion.APART),
    ],
    ids=str,
)
def test_widths_may_differ_but_not_the_number_of_layers(params: dict[str, Scalar], expected: Fusion) -> None:
    other: dict[str, Scalar] = {"batch_size": 32, "optimizer": "adam", "model.hidden.0": 8, "model.hidden.1": 4}
    params = {"batch_size": 32, "optimizer": "adam", **params}
    names = fusion_params(["model.hidden.0", "model.hidden.1", "batch_size", "optimizer", "learning_rate"])
    assert as_workers_do(
        *(resolve({"dataset": "digits", "model": {"name": "mlp"}}, one) for one in (params, other))
    ) == (expected)
    assert fusion_with(other, names, pads=True)(params) == expected
    assert fusion_with(other, names, pads=False)(params) in (expected, Fusion.APART)


def test_own_models_are_alike_but_for_their_dropout_rates() -> None:
    values: dict[str, tuple[Scalar, Scalar]] = {
        "learning_rate": (0.1, 0.2),
        "model.dropout": (0.1, 0.2),
        "model.arguments.width": (4, 8),
        "model.arguments.dropout": (0.1, 0.2),
    }
    names = fusion_params([*values, "model.dropout.0", "model.dropout.1"])
    assert names == ("model.arguments.width", "model.arguments.dropout")
    for name, pair in values.items():
        given = [resolve({"dataset": "digits", "model": {"entrypoint": "nets:build"}}, {name: value}) for value in pair]
        assert (as_workers_do(*given) == Fusion.SAME_SIZES) == (name not in names), name
