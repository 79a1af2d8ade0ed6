"""Training fields, fixed or searched, that are refused."""

from tests.integration.refusals import CHOICES, SPACE, Cases, among, between, parameter, training

CASES: Cases = {
    # Training fields
    "fixed and searched": (training(learning_rate=0.1), SPACE, "training.learning_rate is set"),
    "fixed to null and searched": (
        {**training(gradient_clip=None), **between("gradient_clip", 0.1, 1.0)},
        "search_space.gradient_clip",
        "training.gradient_clip is set",
    ),
    "fixed as a whole and searched in part": (
        {**training(dropout=0.5), **between("dropout.0", 0.0, 0.5)},
        "search_space.dropout.0",
        "training.dropout is set",
    ),
    "fixed in part and searched as a whole": (
        {**training(model={"name": "mlp", "hidden": [8]}), **between("model.hidden", 8, 16)},
        "search_space.model.hidden",
        "training.model.hidden is set",
    ),
    "fixed list element searched": (
        {**training(model={"name": "mlp", "hidden": [8, 8]}), **between("model.hidden.1", 8, 16)},
        "search_space.model.hidden.1",
        "training.model.hidden.1 is set",
    ),
    "a part and the whole searched": (
        {
            "search_space": {
                "dropout": {"type": "float", "low": 0.0, "high": 0.5},
                "dropout.0": {"type": "float", "low": 0.0, "high": 0.5},
            }
        },
        "search_space.dropout.0",
        "dropout.0 must not be searched together with dropout",
    ),
    "not a training field": (between("lr", 0.1, 0.2), "search_space.lr", "lr is not a training field"),
    "no training field, nested": (
        between("model.width", 1, 2),
        "search_space.model.width",
        "model.width is not a training field",
    ),
    "no field of a number": (
        between("learning_rate.low", 0.1, 0.2),
        "search_space.learning_rate.low",
        "learning_rate.low",
    ),
    "a key that ends in a dot": (between("learning_rate.", 0.1, 0.2), "search_space.learning_rate.", "learning_rate."),
    "a key of one dot": (between(".", 0.1, 0.2), "search_space..", "not a training field"),
    "a key with two dots": (between("model..hidden", 1, 2), "search_space.model..hidden", "model..hidden"),
    "an empty key": (between("", 0.1, 0.2), "search_space.", "at least 1 character"),
    "a long key": (between("k" * 129, 0.1, 0.2), "search_space." + "k" * 50, "at most 128 characters"),
    "a key that is a number": (between("0", 0.1, 0.2), "search_space.0", "0 is not a training field"),
    "a key with a power as an index": (
        between("model.hidden.²", 8, 16),
        "search_space.model.hidden.²",
        "model.hidden.²",
    ),
    "a key with an Arabic index": (
        between("model.hidden.١", 8, 16),
        "search_space.model.hidden.١",
        "model.hidden.١",
    ),
    "a key with a negative index": (
        between("model.hidden.-1", 8, 16),
        "search_space.model.hidden.-1",
        "model.hidden.-1",
    ),
    "two keys of one element": (
        {
            "search_space": {
                "model.hidden.0": {"type": "int", "low": 8, "high": 16},
                "model.hidden.00": {"type": "int", "low": 8, "high": 16},
            }
        },
        "search_space.model.hidden.00",
        "model.hidden.00",
    ),
    "a key with NUL": (between("a\0", 0.1, 0.2), "search_space.a\0", "not a training field"),
    "a key of half a character": (between("\ud800", 0.1, 0.2), "search_space", "\\ud800"),
    "the trial seed searched": (between("seed", 0, 9), "search_space.seed", "seed cannot be searched"),
    "the split searched": (
        between("dataset.split_seed", 0, 9),
        "search_space.dataset.split_seed",
        "must see the same data",
    ),
    "the data set searched": (among("dataset", "digits", "mnist"), "search_space.dataset", "the same data"),
    "the kind of model searched": (among("model.name", "mlp", "cnn"), "search_space.model.name", "cannot be searched"),
    "the whole model searched": (among("model", "mlp", "lenet"), "search_space.model", "training.model is set"),
    "dropout above one": (
        between("dropout", 0.0, 1.5),
        "search_space.dropout",
        "dropout must be less than 1: 1.5",
    ),
    "dropout of one": (between("dropout", 0.0, 1.0), "search_space.dropout", "dropout must be less than 1: 1.0"),
    "unknown optimizer": (
        among("optimizer", "sgd", "adamm"),
        "search_space.optimizer",
        "must be 'sgd', 'adam' or 'adamw': 'adamm'",
    ),
    "optimizer by number": (
        between("optimizer", 0, 2),
        "search_space.optimizer",
        "optimizer must be 'sgd', 'adam' or 'adamw': 0",
    ),
    "negative learning rate": (parameter(low=-0.1), SPACE, "learning_rate must be greater than 0: -0.1"),
    "learning rate of zero": (parameter(low=0.0), SPACE, "learning_rate must be greater than 0: 0.0"),
    "learning rate from a huge choice": (
        among("learning_rate", 0.1, 10**400),
        "search_space.learning_rate.choices.1",
        "choices.1 must be a finite number",
    ),
    "negative hidden size": (
        between("model.hidden.0", -5, 16),
        "search_space.model.hidden.0",
        "model.hidden.0 must be greater than or equal to 1: -5",
    ),
    "float where an int is needed": (
        between("batch_size", 16.0, 64.0),
        "search_space.batch_size",
        "batch_size must be a whole number: 16.0",
    ),
    "a bound of a part only": (
        {
            "search_space": {
                "schedule": {"type": "categorical", "choices": ["cosine", "constant"]},
                "schedule.final_fraction": {"type": "float", "low": 0.0, "high": 0.5},
            }
        },
        "search_space.schedule",
        "schedule cannot be 'constant': schedule.final_fraction is an unknown field",
    ),
    "the same, other way round": (
        {
            "search_space": {
                "schedule": {"type": "categorical", "choices": ["constant", "cosine"]},
                "schedule.final_fraction": {"type": "float", "low": 0.0, "high": 0.5},
            }
        },
        "search_space.schedule.final_fraction",
        "",
    ),
    "more dropout rates than layers": (
        training(dropout=[0.1, 0.2, 0.3]),
        "training.dropout",
        "one rate for each hidden layer: [0.1, 0.2, 0.3] for 2 layers",
    ),
    "dropout rates for layers that come and go": (
        {
            **training(dropout=[0.1], model={"name": "mlp"}),
            "search_space": {
                "model.hidden.0": {"type": "int", "low": 8, "high": 16},
                "optimizer": CHOICES,
                "model.hidden.1": {"type": "int", "low": 8, "high": 16, "when": {"optimizer": ["sgd"]}},
            },
        },
        "training.dropout",
        "one rate for each hidden layer: [0.1] for 2 layers",
    ),
    "fixed dropout too large": (training(dropout=1.5), "training.dropout", "1.5"),
    "fixed hidden size negative": (
        training(model={"name": "mlp", "hidden": [64, -5]}),
        "training.model.hidden.1",
        "-5",
    ),
    "fixed optimizer unknown": (training(optimizer="adamm"), "training.optimizer", "'adamm'"),
    "fixed learning rate negative": (
        {**training(learning_rate=-0.1), **between("dropout", 0.0, 0.5)},
        "training.learning_rate",
        "greater than 0: -0.1",
    ),
    "no validation data": (
        training(dataset={"name": "digits", "validation_fraction": 0}),
        "training.dataset.validation_fraction",
        "greater than 0: 0",
    ),
    "nothing but validation data": (
        training(dataset={"name": "digits", "validation_fraction": 1}),
        "training.dataset.validation_fraction",
        "less than 1: 1",
    ),
    "unknown data set": (training(dataset="imagenet"), "training.dataset", "'imagenet'"),
    "a path that leaves the folder": (
        training(dataset={"name": "image_folder", "path": "../secrets"}),
        "training.dataset",
        "'../secrets'",
    ),
    "a path with NUL": (
        training(dataset={"name": "image_folder", "path": "a\0b"}),
        "training.dataset",
        "a\\x00b",
    ),
    "no data set": ({"training": {"model": "mlp"}}, "training.dataset", "required"),
    "no model": ({"training": {"dataset": "digits"}}, "training.model", "required"),
    "a trillion training images": (
        training(dataset={"name": "digits", "n_train": 10**30}),
        "training.dataset.n_train",
        "1000000",
    ),
}
