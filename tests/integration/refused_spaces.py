"""Search spaces that are refused."""

from tests.integration.refusals import CHOICES, SPACE, Cases, among, between, conditional, parameter, searched, training

CASES: Cases = {
    # Bounds
    "low equals high": (parameter(low=0.1), SPACE, "low must be below high: low=0.1, high=0.1"),
    "low above high": (parameter(low=0.5), SPACE, "low must be below high: low=0.5, high=0.1"),
    "a width that is no double": (
        parameter(low=-1e308, high=1e308),
        SPACE,
        "high - low must be a finite number: low=-1e+308, high=1e+308",
    ),
    "int low above high": (
        between("batch_size", 64, 32),
        "search_space.batch_size",
        "low must be below high: low=64, high=32",
    ),
    "log from zero": (parameter(low=0.0, log=True), SPACE, "low must be above 0 when log is true: low=0.0"),
    "log from minus zero": (parameter(low=-0.0, log=True), SPACE, "low must be above 0 when log is true: low=-0.0"),
    "log from below zero": (parameter(low=-1.0, log=True), SPACE, "low must be above 0 when log is true: low=-1.0"),
    "step with log": (parameter(log=True, step=0.1), SPACE, "step cannot be combined with log: step=0.1"),
    "int step with log": (
        between("batch_size", 16, 64, log=True, step=16),
        "search_space.batch_size",
        "step cannot be combined with log: step=16",
    ),
    "step zero": (parameter(step=0), f"{SPACE}.step", "step must be greater than 0: 0"),
    "step negative": (parameter(step=-0.1), f"{SPACE}.step", "step must be greater than 0: -0.1"),
    "step far too small": (parameter(step=5e-324), SPACE, "step is too small for the range: step=5e-324"),
    "no high": ({"search_space": {"learning_rate": {"type": "float", "low": 0.1}}}, f"{SPACE}.high", "required"),
    "no type": ({"search_space": {"learning_rate": {"low": 0.1, "high": 1.0}}}, SPACE, "must have the field type"),
    "unknown type": (parameter(type="double"), SPACE, "type must be 'float', 'int' or 'categorical': 'double'"),
    "a number as a string": (parameter(low="1e-5"), f"{SPACE}.low", "'1e-5'"),
    "a boolean as a number": (parameter(high=True), f"{SPACE}.high", "high must be a number: true"),
    "a number as a boolean": (parameter(log=1), f"{SPACE}.log", "1"),
    "int bounds that are floats": (
        searched("batch_size", type="int", low=16.0, high=64.5),
        "search_space.batch_size.high",
        "64.5",
    ),
    "int bounds beyond exact JSON": (
        between("batch_size", 1, 2**53 + 1),
        "search_space.batch_size.high",
        "9007199254740993",
    ),
    "int bounds beyond float": (between("batch_size", 1, 10**400), "search_space.batch_size.high", "1000000"),
    "float bounds beyond float": (parameter(high=10**400), f"{SPACE}.high", "1000000"),
    # Choices
    "no choices": (among("optimizer"), "search_space.optimizer.choices", "at least 1 item"),
    "duplicate choices": (among("optimizer", "sgd", "adam", "sgd"), "search_space.optimizer", "'sgd' is listed twice"),
    "one and one point zero": (among("momentum", 0, 0.5, 0.0), "search_space.momentum", "0.0 is listed twice"),
    "one and true": (among("nesterov", True, 1), "search_space.nesterov", "1 is listed twice"),
    "a list as a choice": (
        among("optimizer", ["sgd"]),
        "search_space.optimizer.choices.0",
        "true, false or null: a list",
    ),
    "an object as a choice": (
        among("optimizer", {"name": "sgd"}),
        "search_space.optimizer.choices.0",
        "true, false or null: an object",
    ),
    "nan as a choice": (among("momentum", float("nan")), "search_space.momentum.choices.0", "finite number: nan"),
    "too many choices": (
        among("batch_size", *range(1, 258)),
        "search_space.batch_size.choices",
        "at most 256 items",
    ),
    "choices of a float": (
        searched("learning_rate", type="float", choices=[0.1]),
        f"{SPACE}.choices",
        "unknown field",
    ),
    # Names
    "a name with a slash": ({"name": "a/b"}, "name", "'a/b'"),
    "an empty name": ({"name": ""}, "name", "''"),
    "a name of two dots": ({"name": ".."}, "name", "'..'"),
    "a name with a line end": ({"name": "a\n"}, "name", "'a\\n'"),
    "a name with NUL": ({"name": "a\0b"}, "name", "'a\\x00b'"),
    "a name in another alphabet": ({"name": "исследование"}, "name", "исследование"),
    "a name of half a character": ({"name": "\ud800"}, "name", "\\ud800"),
    "a long name": ({"name": "x" * 129}, "name", "xxx"),
    "a name of one million letters": ({"name": "x" * 1_000_000}, "name", "xxx"),
    "a name that is a number": ({"name": 1}, "name", "string: 1"),
    # Unknown fields
    "unknown at the top": ({"trials": 3}, "trials", "unknown field"),
    "unknown in training": (training(lr=0.1), "training.lr", "unknown field"),
    "unknown in the model": (training(model={"name": "mlp", "layers": 3}), "training.model.layers", "unknown field"),
    "unknown in a conv block": (
        training(model={"name": "cnn", "blocks": [{"channels": 8}, {"filters": 8}]}),
        "training.model.blocks.1.filters",
        "unknown field",
    ),
    "unknown in the data set": (
        training(dataset={"name": "digits", "seed": 1}),
        "training.dataset.seed",
        "unknown field",
    ),
    "unknown in the schedule": (
        training(schedule={"name": "cosine", "gamma": 0.1}),
        "training.schedule.gamma",
        "unknown field",
    ),
    "unknown in early stopping": (
        training(early_stopping={"wait": 3}),
        "training.early_stopping.wait",
        "unknown field",
    ),
    "unknown sampler option": (
        {"sampler": {"name": "random", "n_startup_trials": 3}},
        "sampler.n_startup_trials",
        "unknown field",
    ),
    "unknown pruner option": ({"pruner": {"name": "median", "patience": 3}}, "pruner.patience", "unknown field"),
    "unknown wrapped pruner option": (
        {"pruner": {"name": "patient", "wrapped_pruner": {"name": "median", "eta": 3}}},
        "pruner.wrapped_pruner.eta",
        "unknown field",
    ),
    "unknown in a parameter": (parameter(default=0.01), f"{SPACE}.default", "unknown field"),
    "unknown in an objective": (
        {"objectives": [{"metric": "validation_accuracy", "direction": "maximize", "goal": 1}]},
        "objectives.0.goal",
        "unknown field",
    ),
    "an unknown field without a name": ({"": 3}, "body", "unknown field"),
    "an unknown field of half a character": ({"\ud800": 3}, "body", "\\ud800"),
    "an unknown field with NUL": ({"\0": 3}, "\0", "unknown field"),
    "an unknown field of 2,000 letters": ({"y" * 2000: 3}, "y" * 50, "unknown field"),
    # Conditions
    "a condition on what is not searched": (
        conditional({"optimizer": ["sgd"]}),
        "search_space.momentum.when.optimizer",
        "there is no 'optimizer'",
    ),
    "a condition on what comes later": (
        conditional({"optimizer": ["sgd"]}, last={"optimizer": CHOICES}),
        "search_space.momentum.when.optimizer",
        "'optimizer' does not stand before 'momentum'",
    ),
    "a condition on itself": (
        conditional({"momentum": [0.5]}),
        "search_space.momentum.when.momentum",
        "'momentum' does not stand before 'momentum'",
    ),
    "conditions in a circle": (
        {
            "search_space": {
                "optimizer": {**CHOICES, "when": {"nesterov": [True]}},
                "nesterov": {"type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}},
            }
        },
        "search_space.optimizer.when.nesterov",
        "'nesterov' does not stand before 'optimizer'",
    ),
    "a condition on a float": (
        conditional({"dropout": [0.5]}, first={"dropout": {"type": "float", "low": 0.0, "high": 0.5}}),
        "search_space.momentum.when.dropout",
        "'dropout' is a float",
    ),
    "a condition that cannot be": (
        conditional({"optimizer": ["adamw"]}, first={"optimizer": CHOICES}),
        "search_space.momentum.when.optimizer",
        "it cannot be 'adamw'",
    ),
    "a condition on true where 1 is meant": (
        conditional({"batch_size": [True]}, first={"batch_size": {"type": "int", "low": 1, "high": 4}}),
        "search_space.momentum.when.batch_size",
        "it cannot be true",
    ),
    "a condition without values": (
        conditional({"optimizer": []}, first={"optimizer": CHOICES}),
        "search_space.momentum.when.optimizer",
        "at least 1 item",
    ),
    "a condition that is no list": (
        conditional({"optimizer": "sgd"}, first={"optimizer": CHOICES}),
        "search_space.momentum.when.optimizer",
        "'sgd'",
    ),
    "a condition on lists": (
        conditional({"optimizer": [["sgd"]]}, first={"optimizer": CHOICES}),
        "search_space.momentum.when.optimizer.0",
        "list",
    ),
    "conditions as a list": (
        conditional(["optimizer"], first={"optimizer": CHOICES}),
        "search_space.momentum.when",
        "",
    ),
}
