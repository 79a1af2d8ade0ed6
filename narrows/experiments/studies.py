"""The studies of an experiment: the definitions to POST, and small ones that show whether all of it runs."""

from collections.abc import Mapping
from typing import Any

from narrows.experiments.definition import Experiment, Json, Search, Variant
from service.schemas.study.definition_fields import Confirmation

QUICK_EPOCHS = 2
QUICK_TRIALS = 3
QUICK_CONFIRMATION = Confirmation(top_k=1, n_seeds=1)


def study_definition(name: str, experiment: Experiment, one: Variant, seed: int = 0) -> Json:
    """The definition of a variant's or a search's study; split, trainings and sampler have the seed."""
    seeds = {"seed": seed, "dataset": {"split_seed": seed}}
    training = merged(merged(experiment.training, one.training), seeds)
    if not isinstance(one, Search):
        rate = {"type": "categorical", "choices": [training.pop("learning_rate", 1e-3)]}
        fixed: Json = {"search_space": {"learning_rate": rate}, "sampler": "random", "pruner": "none", "n_trials": 1}
        return {"name": name, "training": training, **fixed}
    chosen = {"pruner": one.pruner, "enqueue": one.enqueue or None, "narrowing": one.narrowing}
    return {
        "name": name,
        "search_space": one.search_space,
        "training": {field: value for field, value in training.items() if field not in one.search_space},
        "sampler": {"name": "tpe", **(one.sampler or {}), "seed": seed},
        "n_trials": one.n_trials,
        **{field: value for field, value in chosen.items() if value is not None},
    }


def quick(experiment: Experiment) -> Experiment:
    """The same with a few epochs and trials and one seed: whether it runs, not what it shows."""
    few = {"n_trials": QUICK_TRIALS, "narrowing": None}
    searches = [
        search.model_copy(update=few | {"training": _without_epochs(search.training)}) for search in experiment.searches
    ]
    variants = [one.model_copy(update={"training": _without_epochs(one.training)}) for one in experiment.variants]
    training = {**experiment.training, "epochs": QUICK_EPOCHS}
    return experiment.model_copy(
        update={
            "training": training,
            "variants": variants,
            "searches": searches,
            "seeds": 1,
            "confirmation": QUICK_CONFIRMATION,
        }
    )


def _without_epochs(training: Json) -> Json:
    return {name: value for name, value in training.items() if name != "epochs"}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    """The base with the changes, object by object; a bare name counts as the object of that name."""
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        if isinstance(value, dict) and isinstance(inner, str):
            inner = {"name": inner}
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
