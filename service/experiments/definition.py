"""An experiment: studies to run beside figures that others have published, in one YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from service.cli.errors import CommandError
from service.experiments.figures import FIGURES
from service.schemas.fields import StrictBody
from service.yaml_loader import YamlError, load

FOLDER = Path(__file__).parents[2] / "examples" / "experiments"
QUICK_EPOCHS = 2
QUICK_TRIALS = 3

Json = dict[str, Any]
Published = dict[str, float | str]


class Variant(StrictBody):
    """One configuration: a study of its own, so that it has a test figure of its own."""

    label: str = Field(description="What the row of the table is called.", examples=["dropout 0.2"])
    training: Json = Field({}, description="Training fields beside the experiment's.", examples=[{"dropout": 0.2}])
    published: Published = Field({}, description="Published figures by name.", examples=[{"train_accuracy": 1.0}])


class Search(Variant):
    """A study that searches; the searches of an experiment run one after another, so that their seconds compare."""

    search_space: Json = Field(
        description="As in a definition.", examples=[{"dropout": {"type": "float", "low": 0.1, "high": 0.2}}]
    )
    sampler: Json | None = Field(
        None, description="As in a definition; null for the default.", examples=[{"name": "random", "seed": 0}]
    )
    pruner: Json | None = Field(
        None, description="As in a definition; null for the default.", examples=[{"name": "none"}]
    )
    n_trials: int = Field(ge=1, description="Trials of the search.", examples=[100])
    enqueue: list[Json] = Field([], description="As in a definition.", examples=[[{"dropout": 0.1}]])


class Experiment(StrictBody):
    """What is run, what was published, and why the two differ."""

    title: str = Field(description="What it shows, in a line.", examples=["Overfitting on 300 MNIST images"])
    source: str = Field(description="Where the published figures come from.", examples=["a textbook"])
    data: str = Field(description="The data that it needs.", examples=["MNIST, 300 training images"])
    training: Json = Field(description="What all its studies train.", examples=[{"dataset": "mnist", "model": "mlp"}])
    figures: list[str] = Field(description="Columns of the table, by name.", examples=[["test_accuracy"]])
    variants: list[Variant] = Field([], description="Single configurations, trained side by side.", examples=[[]])
    searches: list[Search] = Field([], description="Searches, after the variants.", examples=[[]])
    n_seeds: int = Field(1, ge=1, le=30, description="Confirmations of each study's winner.", examples=[1])
    differences: str = Field(description="Why measured and published figures differ.", examples=["another optimizer"])


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_experiment(name: str) -> Experiment:
    """An experiment by its name, or by the path of its file. Raises CommandError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise CommandError(f"NAME must be one of {', '.join(names()) or 'none, without a checkout'}: {name!r}")
    try:
        experiment = Experiment.model_validate(load(path.read_bytes()))
    except YamlError as error:
        raise CommandError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise CommandError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    unknown = set(experiment.figures) - set(FIGURES)
    if unknown:
        raise CommandError(f"{path}: figures must be of {', '.join(FIGURES)}: {', '.join(sorted(unknown))}")
    return experiment


def quick(experiment: Experiment) -> Experiment:
    """The same with a few epochs and trials: whether it runs, not what it shows."""
    searches = [
        search.model_copy(update={"n_trials": min(search.n_trials, QUICK_TRIALS), "training": _short(search.training)})
        for search in experiment.searches
    ]
    variants = [one.model_copy(update={"training": _short(one.training)}) for one in experiment.variants]
    training = {**experiment.training, "epochs": QUICK_EPOCHS}
    return experiment.model_copy(
        update={"training": training, "variants": variants, "searches": searches, "n_seeds": 1}
    )


def _short(training: Json) -> Json:
    return {name: value for name, value in training.items() if name != "epochs"}


def study_definition(name: str, experiment: Experiment, one: Variant) -> Json:
    """The definition to POST for a variant or a search."""
    training = merged(experiment.training, one.training)
    if not isinstance(one, Search):
        rate = {"type": "categorical", "choices": [training.pop("learning_rate", 1e-3)]}
        fixed: Json = {"search_space": {"learning_rate": rate}, "sampler": "random", "pruner": "none", "n_trials": 1}
        return {"name": name, "training": training, **fixed}
    chosen = {"sampler": one.sampler, "pruner": one.pruner, "enqueue": one.enqueue or None}
    return {
        "name": name,
        "search_space": one.search_space,
        "training": {field: value for field, value in training.items() if field not in one.search_space},
        "n_trials": one.n_trials,
        **{field: value for field, value in chosen.items() if value is not None},
    }


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    """The base with the changes, object by object."""
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        result[name] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result
