from service.schemas.fields import Scalar
from service.schemas.study.resolve import resolve
from service.schemas.study.training import Training
from service.study.fusion_params import fusion_params, fusion_values
from workers.lanes.fusion_key import fusion_key


def test_equal_fusion_values_are_what_workers_fuse() -> None:
    fixed = {"dataset": "digits", "model": "mlp"}
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
    }
    names = fusion_params(values)
    for name, (one, other) in values.items():
        first, second = ({**fixed, name: value} for value in (one, other))
        keys = [fusion_key(Training.model_validate(training)) for training in (first, second)]
        fused = [fusion_values({name: value}, names) for value in (one, other)]
        assert (keys[0] == keys[1]) == (fused[0] == fused[1]), name


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
        keys = [fusion_key(Training.model_validate(training)) for training in given]
        assert (keys[0] == keys[1]) == (name not in names), name


def test_a_trial_that_lacks_a_parameter_has_other_fusion_values() -> None:
    names = fusion_params(["model.hidden.0", "model.hidden.1", "dataset.augment", "learning_rate"])
    assert names == ("model.hidden.0", "model.hidden.1")
    assert fusion_values({"model.hidden.0": 8}, names) != fusion_values(
        {"model.hidden.0": 8, "model.hidden.1": 8}, names
    )
