"""All else of a definition that is refused."""

from tests.integration.refusals import CHOICES, SPACE, Cases, between, conditional, parameter, training

CASES: Cases = {
    # Samplers and pruners
    "unknown sampler": ({"sampler": "bayes"}, "sampler", "'bayes'"),
    "sampler without a name": ({"sampler": {"seed": 1}}, "sampler", "must have the field name"),
    "sampler that is a number": ({"sampler": 5}, "sampler", "must be a name or an object: 5"),
    "sampler null": ({"sampler": None}, "sampler", "must be a name or an object: null"),
    "seed negative": ({"sampler": {"name": "random", "seed": -1}}, "sampler.seed", "-1"),
    "seed too large": ({"sampler": {"name": "random", "seed": 2**32}}, "sampler.seed", "4294967296"),
    "sampler option out of range": (
        {"sampler": {"name": "nsgaii", "crossover_prob": 1.5}},
        "sampler.crossover_prob",
        "1.5",
    ),
    "margin with separable": (
        {"sampler": {"name": "cmaes", "with_margin": True, "use_separable_cma": True}},
        "sampler",
        "with_margin",
    ),
    "margin with adapted rate": (
        {"sampler": {"name": "cmaes", "with_margin": True, "lr_adapt": True}},
        "sampler",
        "lr_adapt",
    ),
    "separable with adapted rate": (
        {"sampler": {"name": "cmaes", "use_separable_cma": True, "lr_adapt": True}},
        "sampler",
        "lr_adapt",
    ),
    "grid over a continuous range": ({"sampler": "grid"}, SPACE, "needs a discrete search space"),
    "brute force over a continuous range": ({"sampler": "brute_force"}, SPACE, "needs a discrete search space"),
    "grid over too many": (
        {
            "sampler": "grid",
            "search_space": {
                "batch_size": {"type": "int", "low": 1, "high": 65536},
                "nesterov": {"type": "categorical", "choices": [True, False]},
            },
        },
        "search_space",
        "10,000 configurations at most",
    ),
    "grid with a conditional": (
        {
            "sampler": "grid",
            "search_space": {
                "optimizer": CHOICES,
                "nesterov": {"type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}},
            },
        },
        "search_space.nesterov.when",
        "grid takes no conditional parameters",
    ),
    "grid over a huge parent": (
        {
            "sampler": "brute_force",
            "search_space": {
                "batch_size": {"type": "int", "low": 1, "high": 2**53},
                "nesterov": {"type": "categorical", "choices": [True, False], "when": {"batch_size": [1]}},
            },
        },
        "search_space.batch_size",
        "9007199254740992",
    ),
    "unknown pruner": ({"pruner": "asha"}, "pruner", "'asha'"),
    "pruner of several objectives, the first a final one": (
        {
            "pruner": "median",
            "objectives": [
                {"metric": "n_parameters", "direction": "minimize"},
                {"metric": "validation_loss", "direction": "minimize"},
            ],
        },
        "pruner",
        "first objective is not reported every epoch: 'n_parameters'",
    ),
    "promotion from a rung that is not known": (
        {"pruner": {"name": "successive_halving", "promote": True}},
        "pruner",
        "min_resource='auto'",
    ),
    "promotion with n_startup_trials": (
        {"pruner": {"name": "successive_halving", "min_resource": 1, "n_startup_trials": 2, "promote": True}},
        "pruner",
        "n_startup_trials=2",
    ),
    "promotion with bootstrap_count": (
        {"pruner": {"name": "hyperband", "max_resource": 9, "bootstrap_count": 2, "promote": True}},
        "pruner",
        "bootstrap_count=2",
    ),
    "patience with promotion": (
        {"pruner": {"name": "patient", "wrapped_pruner": {"name": "hyperband", "max_resource": 9, "promote": True}}},
        "pruner",
        "wrapped_pruner.promote is true",
    ),
    "narrowing with promotion": (
        {
            "pruner": {"name": "successive_halving", "min_resource": 1, "promote": True},
            "narrowing": {"rounds": 2, "trials_per_round": 1, "keep_top": 1},
        },
        "narrowing",
        "promotes",
    ),
    "constraint without a bound": ({"constraints": [{"metric": "seconds"}]}, "constraints.0", "max or min"),
    "constraint of nothing": (
        {"constraints": [{"metric": "seconds", "min": 2.0, "max": 1.0}]},
        "constraints.0",
        "min=2.0, max=1.0",
    ),
    "constraint on what is not reported": (
        {"constraints": [{"metric": "seconds", "max": 1.0}, {"metric": "flops", "max": 1.0}]},
        "constraints.1.metric",
        "'flops' is none of",
    ),
    "constraint on the test split": (
        {"training": {"entrypoint": "mine:train"}, "constraints": [{"metric": "test_loss", "max": 1.0}]},
        "constraints.0.metric",
        "must not use the test split: 'test_loss'",
    ),
    "constraint twice": (
        {"constraints": [{"metric": "seconds", "max": 1.0}, {"metric": "seconds", "min": 0.1}]},
        "constraints.1.metric",
        "listed twice: 'seconds'",
    ),
    "constraint with infinity": (
        {"constraints": [{"metric": "seconds", "max": "inf"}]},
        "constraints.0.max",
        "number",
    ),
    "spx with two parents": (
        {"sampler": {"name": "nsgaii", "crossover": "spx", "population_size": 2}},
        "sampler",
        "3 or more for crossover spx: 2",
    ),
    "pruner of a final metric": (
        {"pruner": "median", "objectives": [{"metric": "n_parameters", "direction": "minimize"}]},
        "pruner",
        "'n_parameters'",
    ),
    "threshold without a bound": ({"pruner": "threshold"}, "pruner", "lower or upper must be given"),
    "threshold upside down": (
        {"pruner": {"name": "threshold", "lower": 2.0, "upper": 1.0}},
        "pruner",
        "lower=2.0, upper=1.0",
    ),
    "hyperband upside down": (
        {"pruner": {"name": "hyperband", "min_resource": 9, "max_resource": 3}},
        "pruner",
        "min_resource=9, max_resource=3",
    ),
    "hyperband that cannot bootstrap": (
        {"pruner": {"name": "hyperband", "bootstrap_count": 2}},
        "pruner",
        "bootstrap_count=2",
    ),
    "halving that cannot bootstrap": (
        {"pruner": {"name": "successive_halving", "bootstrap_count": 2}},
        "pruner",
        "bootstrap_count=2",
    ),
    "halving with a wrong word": (
        {"pruner": {"name": "successive_halving", "min_resource": "some"}},
        "pruner.min_resource",
        "must be a whole number or 'auto': 'some'",
    ),
    "a patient pruner in a patient one": (
        {"pruner": {"name": "patient", "wrapped_pruner": {"name": "patient"}}},
        "pruner.wrapped_pruner",
        "'patient'",
    ),
    # Numbers of trials
    "no trials": ({"n_trials": 0}, "n_trials", "greater than or equal to 1: 0"),
    "fewer than no trials": ({"n_trials": -1}, "n_trials", "greater than or equal to 1: -1"),
    "a trillion trials": ({"n_trials": 10**12}, "n_trials", "less than or equal to 1000000: 1000000000000"),
    "a number of trials beyond any machine": ({"n_trials": 10**400}, "n_trials", "1000000"),
    "a number of trials as a string": ({"n_trials": "3"}, "n_trials", "'3'"),
    "a number of trials as a float": ({"n_trials": 3.0}, "n_trials", "3.0"),
    "true trials": ({"n_trials": True}, "n_trials", "true"),
    "null trials": ({"n_trials": None}, "n_trials", "null"),
    "no time": ({"timeout_seconds": 0}, "timeout_seconds", "greater than 0: 0"),
    "no attempts": ({"max_attempts": 0}, "max_attempts", "0"),
    "more to try than trials": (
        {"n_trials": 1, "enqueue": [{"learning_rate": 0.1}, {"learning_rate": 0.01}]},
        "enqueue",
        "must not hold more than n_trials: 2 > 1",
    ),
    "try what is outside": ({"enqueue": [{"learning_rate": 1.0}]}, "enqueue.0.learning_rate", "1.0"),
    "try what is not searched": ({"enqueue": [{"dropout": 0.1}]}, "enqueue.0.dropout", "'dropout' is not a parameter"),
    "try a list": ({"enqueue": [{"learning_rate": [0.1]}]}, "enqueue.0.learning_rate", "list"),
    "try a string": ({"enqueue": [{"learning_rate": "0.1"}]}, "enqueue.0.learning_rate", "'0.1'"),
    "try true": ({"enqueue": [{"learning_rate": True}]}, "enqueue.0.learning_rate", "true"),
    "try off the grid": (
        {**between("momentum", 0.0, 0.9, step=0.1), "enqueue": [{"momentum": 0.25}]},
        "enqueue.0.momentum",
        "0.25",
    ),
    "try off a fine grid": (
        {**between("learning_rate", 1e-6, 100.0, step=1e-6), "enqueue": [{"learning_rate": 99.0000005}]},
        "enqueue.0.learning_rate",
        "99.0000005",
    ),
    "rounds without a size": ({"narrowing": {"rounds": 3}}, "narrowing.trials_per_round", "required"),
    "no rounds": ({"narrowing": {"rounds": 0, "trials_per_round": 1}}, "narrowing.rounds", "0"),
    "too wide a margin": (
        {"narrowing": {"rounds": 1, "trials_per_round": 3, "keep_top": 1, "margin": 1.1}},
        "narrowing.margin",
        "1.1",
    ),
    "more rounds than trials": (
        {"n_trials": 29, "narrowing": {"rounds": 3, "trials_per_round": 10}},
        "narrowing.trials_per_round",
        "rounds × trials_per_round must fit n_trials: 3 × 10 > 29",
    ),
    "more to keep than to try": (
        {"n_trials": 30, "narrowing": {"rounds": 3, "trials_per_round": 4}},
        "narrowing.keep_top",
        "keep_top must not be more than trials_per_round: 5 > 4",
    ),
    "more to try first than a round has": (
        {
            "n_trials": 4,
            "narrowing": {"rounds": 2, "trials_per_round": 1, "keep_top": 1},
            "enqueue": [{"learning_rate": 0.1}, {"learning_rate": 0.01}],
        },
        "narrowing.trials_per_round",
        "trials_per_round must hold what is enqueued: 1 < 2",
    ),
    "narrow a grid": (
        {
            **between("momentum", 0.0, 0.9, step=0.1),
            "sampler": "grid",
            "n_trials": 10,
            "narrowing": {"rounds": 2, "trials_per_round": 5},
        },
        "narrowing",
        "needs a sampler that samples from ranges: grid tries every configuration",
    ),
    "narrow several objectives": (
        {
            "objectives": [{"metric": name, "direction": "minimize"} for name in ("train_loss", "validation_loss")],
            "n_trials": 10,
            "narrowing": {"rounds": 2, "trials_per_round": 5},
        },
        "narrowing",
        "takes one objective: 2 are given",
    ),
    "narrow what has no ranges": (
        {
            "search_space": {"batch_size": {"type": "int", "low": 1, "high": 9}},
            "n_trials": 10,
            "narrowing": {"rounds": 2, "trials_per_round": 5},
        },
        "narrowing",
        "needs a float parameter",
    ),
    "confirm nothing": ({"confirmation": {"top_k": 0}}, "confirmation.top_k", "0"),
    "confirm without seeds": ({"confirmation": {"n_seeds": 0}}, "confirmation.n_seeds", "0"),
    # Numbers that are none
    "nan as a bound": (parameter(low=float("nan")), f"{SPACE}.low", "finite number: nan"),
    "infinity as a bound": (parameter(high=float("inf")), f"{SPACE}.high", "finite number: inf"),
    "nan as a string": (parameter(low="nan"), f"{SPACE}.low", "'nan'"),
    "infinity as a string": (parameter(high="inf"), f"{SPACE}.high", "'inf'"),
    "infinite time": ({"timeout_seconds": float("inf")}, "timeout_seconds", "inf"),
    "nan as the target": ({"target_value": float("nan")}, "target_value", "nan"),
    "infinity fixed": (training(weight_decay=float("inf")), "training.weight_decay", "inf"),
    "nan as a condition": (
        conditional({"optimizer": [float("nan")]}, first={"optimizer": CHOICES}),
        "search_space.momentum.when.optimizer.0",
        "nan",
    ),
    # Objectives
    "a metric that training never reports": (
        {"objectives": [{"metric": "f1", "direction": "maximize"}]},
        "objectives.0.metric",
        "'f1'",
    ),
    "no objective": ({"objectives": []}, "objectives", "at least 1 item"),
    "an objective twice": (
        {"objectives": [{"metric": "validation_loss", "direction": "minimize"}] * 2},
        "objectives.1.metric",
        "'validation_loss'",
    ),
    "no direction": ({"objectives": [{"metric": "validation_loss"}]}, "objectives.0.direction", "required"),
    "a wrong direction": (
        {"objectives": [{"metric": "validation_loss", "direction": "down"}]},
        "objectives.0.direction",
        "'down'",
    ),
    "an objective as a string": ({"objectives": ["validation_loss"]}, "objectives.0", "'validation_loss'"),
    "a target for several": (
        {
            "target_value": 0.9,
            "objectives": [
                {"metric": "validation_accuracy", "direction": "maximize"},
                {"metric": "validation_loss", "direction": "minimize"},
            ],
        },
        "target_value",
        "null with several objectives: 0.9",
    ),
    "cmaes for several": (
        {
            "sampler": "cmaes",
            "objectives": [
                {"metric": "validation_accuracy", "direction": "maximize"},
                {"metric": "validation_loss", "direction": "minimize"},
            ],
        },
        "sampler",
        "cmaes takes one objective",
    ),
    # Shapes
    "no search space": ({"search_space": {}}, "search_space", "at least 1 item"),
    "a search space that is a list": ({"search_space": [1]}, "search_space", "list"),
    "a parameter that is a list": ({"search_space": {"learning_rate": [1e-5, 0.1]}}, SPACE, "list"),
    "a parameter that is null": ({"search_space": {"learning_rate": None}}, SPACE, "null"),
    "ten thousand parameters": (
        {"search_space": {f"p{index}": {"type": "float", "low": 0, "high": 1} for index in range(10_000)}},
        "search_space",
        "at most 100 items",
    ),
    "training that is null": ({"training": None}, "training", "null"),
    "training that is a list": ({"training": []}, "training", "list"),
}
