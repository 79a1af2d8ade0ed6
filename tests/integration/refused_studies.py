"""All else of a definition that is refused."""

from tests.integration.refusals import CHOICES, SPACE, Cases, between, conditional, parameter, training

CASES: Cases = {
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
    "patience for several": (
        {
            "patience": {"trials": 5},
            "objectives": [
                {"metric": "validation_accuracy", "direction": "maximize"},
                {"metric": "validation_loss", "direction": "minimize"},
            ],
        },
        "patience",
        "null with several objectives: 5 trials",
    ),
    "no epochs": ({"max_total_epochs": 0}, "max_total_epochs", "greater than or equal to 1: 0"),
    "half an epoch": ({"max_total_epochs": 0.5}, "max_total_epochs", "0.5"),
    "no device hours": ({"max_device_hours": 0}, "max_device_hours", "greater than 0: 0"),
    "no patience": ({"patience": {"trials": 0}}, "patience.trials", "greater than or equal to 1: 0"),
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
