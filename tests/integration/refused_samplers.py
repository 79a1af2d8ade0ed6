"""Samplers, pruners and constraints that are refused."""

from tests.integration.refusals import CHOICES, SPACE, Cases

CASES: Cases = {
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
    "a share of trials without promotion": (
        {"pruner": {"name": "successive_halving", "reduction_factor": 2.5}},
        "pruner",
        "reduction_factor must be a whole number from 2 on, unless promote is true: reduction_factor=2.5",
    ),
    "less than half without promotion": (
        {"pruner": {"name": "successive_halving", "reduction_factor": 1.5}},
        "pruner",
        "reduction_factor=1.5",
    ),
    "promotion of all": (
        {"pruner": {"name": "successive_halving", "min_resource": 1, "reduction_factor": 1, "promote": True}},
        "pruner.reduction_factor",
        "greater than or equal to 1.1",
    ),
    "a reduction factor that is no number": (
        {"pruner": {"name": "successive_halving", "min_resource": 1, "reduction_factor": "half", "promote": True}},
        "pruner.reduction_factor",
        "must be a number",
    ),
    "rungs of their own without promotion": (
        {"pruner": {"name": "successive_halving", "rung_factor": 1.6}},
        "pruner",
        "rung_factor needs promote: rung_factor=1.6",
    ),
    "finalists without promotion": (
        {"pruner": {"name": "hyperband", "n_finalists": 3}},
        "pruner",
        "n_finalists needs promote: n_finalists=3",
    ),
    "fewer than no finalists": (
        {"pruner": {"name": "hyperband", "max_resource": 9, "promote": True, "n_finalists": -1}},
        "pruner.n_finalists",
        "greater than or equal to 0",
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
}
