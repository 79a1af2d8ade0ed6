"""Every bad definition is a 422 that names the field, the rule and the value, and leaves nothing behind."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.service_driver import Json, Service, definition, errors_of

SPACE = "search_space.learning_rate"
CHOICES = {"type": "categorical", "choices": ["sgd", "adam"]}


@pytest.fixture(autouse=True)
def nothing_left_behind(service: Service) -> Iterator[None]:
    yield
    left = service.get("/studies")
    left_in_optuna = [study.study_name for study in service.store.optuna.get_all_studies()]
    for study in left["studies"]:
        service.http.delete(f"/v1/studies/{study['name']}")
    assert left == {"studies": [], "next_cursor": None}
    assert left_in_optuna == []


def parameter(**changes: Any) -> Json:
    return {"search_space": {"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, **changes}}}


def searched(key: str, **described: Any) -> Json:
    return {"search_space": {key: described}}


def between(key: str, low: float, high: float, **more: Any) -> Json:
    kind = "int" if isinstance(low, int) and isinstance(high, int) else "float"
    return searched(key, type=kind, low=low, high=high, **more)


def among(key: str, *choices: Any) -> Json:
    return searched(key, type="categorical", choices=list(choices))


def training(**changes: Any) -> Json:
    return {"training": {"dataset": "digits", "model": "mlp", **changes}}


def conditional(when: Any, *, first: Json | None = None, last: Json | None = None) -> Json:
    """A search space in which momentum depends on something, between an optional first and last parameter."""
    momentum = {"type": "float", "low": 0.0, "high": 0.9, "when": when}
    return {"search_space": {**(first or {}), "momentum": momentum, **(last or {})}}


CASES: dict[str, tuple[Json, str, str]] = {
    # Bounds
    "low equals high": (parameter(low=0.1), SPACE, "low must be below high: low=0.1, high=0.1"),
    "low above high": (parameter(low=0.5), SPACE, "low must be below high: low=0.5, high=0.1"),
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
    "step zero": (parameter(step=0), f"{SPACE}.step", "greater than 0: 0"),
    "step negative": (parameter(step=-0.1), f"{SPACE}.step", "greater than 0: -0.1"),
    "step far too small": (parameter(step=5e-324), SPACE, "step is too small for the range: step=5e-324"),
    "no high": ({"search_space": {"learning_rate": {"type": "float", "low": 0.1}}}, f"{SPACE}.high", "required"),
    "no type": ({"search_space": {"learning_rate": {"low": 0.1, "high": 1.0}}}, SPACE, "type"),
    "unknown type": (parameter(type="double"), SPACE, "double"),
    "a number as a string": (parameter(low="1e-5"), f"{SPACE}.low", "'1e-5'"),
    "a boolean as a number": (parameter(high=True), f"{SPACE}.high", "True"),
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
    "duplicate choices": (among("optimizer", "sgd", "adam", "sgd"), "search_space.optimizer", "'sgd' stands twice"),
    "one and one point zero": (among("momentum", 0, 0.5, 0.0), "search_space.momentum", "0.0 stands twice"),
    "one and true": (among("nesterov", True, 1), "search_space.nesterov", "1 stands twice"),
    "a list as a choice": (among("optimizer", ["sgd"]), "search_space.optimizer.choices.0", "list"),
    "an object as a choice": (among("optimizer", {"name": "sgd"}), "search_space.optimizer.choices.0", "dict"),
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
    # Samplers and pruners
    "unknown sampler": ({"sampler": "bayes"}, "sampler", "'bayes'"),
    "sampler without a name": ({"sampler": {"seed": 1}}, "sampler", "name"),
    "sampler that is a number": ({"sampler": 5}, "sampler", "5"),
    "sampler null": ({"sampler": None}, "sampler", "None"),
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
    "pruner of several objectives": (
        {
            "pruner": "median",
            "objectives": [
                {"metric": "validation_accuracy", "direction": "maximize"},
                {"metric": "validation_loss", "direction": "minimize"},
            ],
        },
        "pruner",
        "none with several objectives: median",
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
        "'some'",
    ),
    "a patient pruner in a patient one": (
        {"pruner": {"name": "patient", "wrapped_pruner": {"name": "patient"}}},
        "pruner.wrapped_pruner",
        "'patient'",
    ),
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
    "no training field": (between("lr", 0.1, 0.2), "search_space.lr", "lr is no training field"),
    "no training field, nested": (
        between("model.width", 1, 2),
        "search_space.model.width",
        "model.width is no training field",
    ),
    "no field of a number": (
        between("learning_rate.low", 0.1, 0.2),
        "search_space.learning_rate.low",
        "learning_rate.low",
    ),
    "a key that ends in a dot": (between("learning_rate.", 0.1, 0.2), "search_space.learning_rate.", "learning_rate."),
    "a key of one dot": (between(".", 0.1, 0.2), "search_space..", "no training field"),
    "a key with two dots": (between("model..hidden", 1, 2), "search_space.model..hidden", "model..hidden"),
    "an empty key": (between("", 0.1, 0.2), "search_space.", "at least 1 character"),
    "a long key": (between("k" * 129, 0.1, 0.2), "search_space." + "k" * 50, "at most 128 characters"),
    "a key that is a number": (between("0", 0.1, 0.2), "search_space.0", "0 is no training field"),
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
    "a key with NUL": (between("a\0", 0.1, 0.2), "search_space.a\0", "no training field"),
    "a key of half a character": (between("\ud800", 0.1, 0.2), "search_space.\ufffd\ufffd\ufffd", "\\ud800"),
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
        "dropout does not allow 1.5",
    ),
    "dropout of one": (between("dropout", 0.0, 1.0), "search_space.dropout", "dropout does not allow 1.0"),
    "unknown optimizer": (among("optimizer", "sgd", "adamm"), "search_space.optimizer", "does not allow 'adamm'"),
    "optimizer by number": (between("optimizer", 0, 2), "search_space.optimizer", "optimizer does not allow 0"),
    "negative learning rate": (parameter(low=-0.1), SPACE, "learning_rate does not allow -0.1"),
    "learning rate of zero": (parameter(low=0.0), SPACE, "learning_rate does not allow 0.0"),
    "learning rate from a huge choice": (among("learning_rate", 0.1, 10**400), SPACE, "learning_rate"),
    "negative hidden size": (
        between("model.hidden.0", -5, 16),
        "search_space.model.hidden.0",
        "model.hidden.0 does not allow -5",
    ),
    "float where an int is needed": (
        between("batch_size", 16.0, 64.0),
        "search_space.batch_size",
        "batch_size does not allow 16.0",
    ),
    "a bound of a part only": (
        {
            "search_space": {
                "schedule": {"type": "categorical", "choices": ["cosine", "constant"]},
                "schedule.final_fraction": {"type": "float", "low": 0.0, "high": 0.5},
            }
        },
        "search_space.schedule",
        "schedule does not allow 'constant': schedule.final_fraction: unknown field",
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
    # Numbers of trials
    "no trials": ({"n_trials": 0}, "n_trials", "greater than or equal to 1: 0"),
    "fewer than no trials": ({"n_trials": -1}, "n_trials", "greater than or equal to 1: -1"),
    "a trillion trials": ({"n_trials": 10**12}, "n_trials", "less than or equal to 1000000: 1000000000000"),
    "a number of trials beyond any machine": ({"n_trials": 10**400}, "n_trials", "1000000"),
    "a number of trials as a string": ({"n_trials": "3"}, "n_trials", "'3'"),
    "a number of trials as a float": ({"n_trials": 3.0}, "n_trials", "3.0"),
    "true trials": ({"n_trials": True}, "n_trials", "True"),
    "null trials": ({"n_trials": None}, "n_trials", "None"),
    "no time": ({"timeout_seconds": 0}, "timeout_seconds", "greater than 0: 0"),
    "no attempts": ({"max_attempts": 0}, "max_attempts", "0"),
    "more to try than trials": (
        {"n_trials": 1, "enqueue": [{"learning_rate": 0.1}, {"learning_rate": 0.01}]},
        "enqueue",
        "must not hold more than n_trials: 2 > 1",
    ),
    "try what is outside": ({"enqueue": [{"learning_rate": 1.0}]}, "enqueue.0.learning_rate", "1.0"),
    "try what is not searched": ({"enqueue": [{"dropout": 0.1}]}, "enqueue.0.dropout", "'dropout' is no parameter"),
    "try a list": ({"enqueue": [{"learning_rate": [0.1]}]}, "enqueue.0.learning_rate", "list"),
    "try a string": ({"enqueue": [{"learning_rate": "0.1"}]}, "enqueue.0.learning_rate", "'0.1'"),
    "try true": ({"enqueue": [{"learning_rate": True}]}, "enqueue.0.learning_rate", "True"),
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
    # Conditions
    "a condition on what is not searched": (
        conditional({"optimizer": ["sgd"]}),
        "search_space.momentum.when.optimizer",
        "'optimizer' is none",
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
        "it cannot be True",
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
    # Shapes
    "no search space": ({"search_space": {}}, "search_space", "at least 1 item"),
    "a search space that is a list": ({"search_space": [1]}, "search_space", "list"),
    "a parameter that is a list": ({"search_space": {"learning_rate": [1e-5, 0.1]}}, SPACE, "list"),
    "a parameter that is null": ({"search_space": {"learning_rate": None}}, SPACE, "None"),
    "ten thousand parameters": (
        {"search_space": {f"p{index}": {"type": "float", "low": 0, "high": 1} for index in range(10_000)}},
        "search_space",
        "at most 100 items",
    ),
    "training that is null": ({"training": None}, "training", "None"),
    "training that is a list": ({"training": []}, "training", "list"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_definition_is_refused_with_its_field_rule_and_value(service: Service, case: str) -> None:
    changes, field, fragment = CASES[case]
    started = time.monotonic()

    response = post(service, {**definition(), **changes})

    errors = errors_of(response)
    matching = [name for name in errors if name == field or (len(field) >= 50 and name.startswith(field))]
    assert matching, f"{field} is not named: {errors}"
    assert fragment in errors[matching[0]]
    assert errors[matching[0]].strip()
    assert len(response.content) < 5000 + 200 * len(errors)
    assert time.monotonic() - started < 5


def post(service: Service, body: Any, *, raw: str | None = None) -> Any:
    """POST JSON as Python writes it: NaN and Infinity as literals, half characters escaped."""
    content = json.dumps(body) if raw is None else raw
    return service.http.post("/v1/studies", content=content, headers={"content-type": "application/json"})


@pytest.mark.parametrize("field", ["name", "search_space", "training", "n_trials"])
def test_a_definition_without_a_needed_field_is_refused(service: Service, field: str) -> None:
    wanted = definition()
    del wanted[field]

    assert errors_of(post(service, wanted))[field] == "Field required"


def test_every_wrong_field_is_named_at_once(service: Service) -> None:
    wanted = {**definition(name="a/b", n_trials=0, sampler="bayes"), "extra": 1}

    assert set(errors_of(post(service, wanted))) == {"name", "n_trials", "sampler", "extra"}


def test_every_wrong_bound_is_named_at_once(service: Service) -> None:
    wanted = definition(
        search_space={
            "dropout": {"type": "float", "low": 0.0, "high": 1.5},
            "optimizer": {"type": "categorical", "choices": ["sgd", "adamm"]},
            "momentum": {"type": "float", "low": -0.1, "high": 0.9, "when": {"optimizer": ["sgd"]}},
        }
    )

    errors = errors_of(post(service, wanted))
    assert {"search_space.dropout", "search_space.optimizer", "search_space.momentum"} <= set(errors)


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


BODIES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", ""),
    "not JSON": ("name: x", "malformed JSON"),
    "cut short": ('{"name": "x"', "malformed JSON"),
    "two documents": ('{"name": "x"}{}', "malformed JSON"),
    "a trailing comma": ('{"name": "x",}', "malformed JSON"),
    "no UTF-8": (b'{"name": "\xff"}', ""),
    "UTF-16": ('{"name": "x"}'.encode("utf-16"), ""),
    "a list": ("[]", "list"),
    "a string": ('"x"', "'x'"),
    "a number": ("5", "5"),
    "null": ("null", ""),
    "nested deeply": (nested(100), "32 levels"),
    "nested a hundred thousand times": ("[" * 100_000, "32 levels"),
    "closed before it is opened": ("]" * 100_000 + "[" * 100_000, ""),
    "an integer of 5,000 digits": ('{"n_trials": ' + "9" * 5000 + "}", ""),
    "a float with a huge exponent": ('{"n_trials": 1e400}', ""),
    "over a MiB": ('{"name": "' + "x" * 1024 * 1024 + '"}', "at most 1048576 bytes"),
    "over a MiB of blanks": (" " * (1024 * 1024 + 1), "at most 1048576 bytes"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_definition_is_refused(service: Service, case: str) -> None:
    content, fragment = BODIES[case]

    response = service.http.post("/v1/studies", content=content, headers={"content-type": "application/json"})

    errors = errors_of(response)
    assert fragment in json.dumps(errors)
    assert len(response.content) < 20_000


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_another_content_type_is_refused_and_says_what_is_wanted(service: Service, kind: str) -> None:
    response = service.http.post("/v1/studies", content=json.dumps(definition()), headers={"content-type": kind})

    assert "application/json" in json.dumps(problem_body(response))


def problem_body(response: Any) -> Json:
    assert response.status_code in (415, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    return body


YAML: dict[str, tuple[str, str]] = {
    "malformed": ("name: [", "malformed YAML"),
    "empty": ("", ""),
    "an alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\n", "aliases"),
    "a tag": ("name: !!python/object:os.system x", "tags"),
    "a key twice": ("name: a\nname: b", "twice"),
    "two documents": ("name: a\n---\nname: b", "one document"),
    "a list": ("- 1", "list"),
    "nested deeply": ("[" * 5000, "nested"),
    "nested 40 levels": ("[" * 40 + "]" * 40, "32 levels"),
    "not a number": ("n_trials: .nan", ""),
    "an unknown field": ("trials: 3", "unknown field"),
}


@pytest.mark.parametrize("case", YAML)
@pytest.mark.parametrize("kind", ["application/yaml", "Application/YAML; charset=utf-8"])
def test_bad_yaml_is_refused(service: Service, case: str, kind: str) -> None:
    content, fragment = YAML[case]

    response = service.http.post("/v1/studies", content=content, headers={"content-type": kind})

    assert fragment in json.dumps(errors_of(response))


EXPENSIVE: dict[str, Callable[[], Json]] = {
    "a grid with a hundred parents": lambda: {
        "sampler": "grid",
        "search_space": {
            f"model.hidden.{index}": {
                "type": "int",
                "low": 1,
                "high": 2,
                **({"when": {f"model.hidden.{index - 1}": [1, 2]}} if index else {}),
            }
            for index in range(64)
        },
    },
    "many parents of few values": lambda: {
        "sampler": "brute_force",
        "training": {"dataset": "digits", "model": {"name": "cnn"}},
        "search_space": {
            **{f"model.dense.{index}": {"type": "int", "low": 1, "high": 2} for index in range(16)},
            **{
                f"no.such.{index}": {"type": "int", "low": 1, "high": 2, "when": {f"model.dense.{index % 16}": [1]}}
                for index in range(80)
            },
        },
    },
}


@pytest.mark.parametrize("case", EXPENSIVE)
def test_a_bad_definition_is_refused_quickly(service: Service, case: str) -> None:
    started = time.monotonic()

    response = post(service, {**definition(), **copy.deepcopy(EXPENSIVE[case]())})

    assert errors_of(response)
    assert time.monotonic() - started < 5
