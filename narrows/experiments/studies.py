"""The study definitions of an experiment, and the small version of an experiment for `--quick`."""

from collections.abc import Mapping
from typing import Any

from narrows.experiments.definition import Experiment, Json, Search, Variant
from service.schemas.study.definition_fields import Confirmation

QUICK_EPOCHS = 2
QUICK_TRIALS = 3
QUICK_CONFIRMATION = Confirmation(top_k=1, n_seeds=1)


def study_definition(name: str, experiment: Experiment, variant: Variant, seed: int = 0) -> Json:
    """Return the definition of the study of a variant or search, with `seed` for split, training and sampler."""
    seeds = {"seed": seed, "dataset": {"split_seed": seed}}
    training = merged(merged(experiment.training, variant.training), seeds)
    if not isinstance(variant, Search):
        rate = {"type": "categorical", "choices": [training.pop("learning_rate", 1e-3)]}
        fixed: Json = {"search_space": {"learning_rate": rate}, "sampler": "random", "pruner": "none", "n_trials": 1}
        return {"name": name, "training": training, **fixed}
    chosen = {"pruner": variant.pruner, "enqueue": variant.enqueue or None, "narrowing": variant.narrowing}
    return {
        "name": name,
        "search_space": variant.search_space,
        "training": {field: value for field, value in training.items() if field not in variant.search_space},
        "sampler": {"name": "tpe", **(variant.sampler or {}), "seed": seed},
        "n_trials": variant.n_trials,
        **{field: value for field, value in chosen.items() if value is not None},
    }


def quick_version(experiment: Experiment) -> Experiment:
    """Return the experiment with few epochs and trials and one seed, to check that it runs."""
    few = {"n_trials": QUICK_TRIALS, "narrowing": None}
    searches = [
        search.model_copy(update=few | {"training": _without_epochs(search.training)}) for search in experiment.searches
    ]
    variants = [
        variant.model_copy(update={"training": _without_epochs(variant.training)}) for variant in experiment.variants
    ]
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
    """Return `base` with `changes`, merged object by object. A bare name stands for the object of that name."""
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        if isinstance(value, dict) and isinstance(inner, str):
            inner = {"name": inner}
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
