"""An experiment, read from one YAML file: the studies to run, and the published figures to compare them with."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from narrows.errors import CommandError
from narrows.experiments.figures import FIGURES
from service.schemas.fields import StrictBody
from service.schemas.locations import first_error
from service.schemas.study.definition_fields import Confirmation
from service.schemas.yaml_text import YamlError, load

FOLDER = Path(__file__).parents[2] / "examples" / "experiments"

Json = dict[str, Any]
Published = dict[str, float | str]


class Variant(StrictBody):
    """One configuration. It is trained as its own study, so that the test split is used once for each configuration."""

    label: str = Field(description="Name of its row in the tables.", examples=["dropout 0.2"])
    training: Json = Field({}, description="Training fields besides the experiment's.", examples=[{"dropout": 0.2}])
    published: Published = Field({}, description="Published figures by name.", examples=[{"train_accuracy": 1.0}])


class Search(Variant):
    """A study that searches. The searches of an experiment run one after another, so that their durations compare."""

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
    narrowing: Json | None = Field(None, description="As in a definition.", examples=[{"rounds": 4}])


class Experiment(StrictBody):
    """What is run, what was published, and why the two differ."""

    title: str = Field(description="What it shows, in one line.", examples=["Overfitting on 300 MNIST images"])
    source: str = Field(description="Where the published figures come from.", examples=["a textbook"])
    data: str = Field(description="The data that the experiment needs.", examples=["MNIST, 300 training images"])
    training: Json = Field(description="Training of all its studies.", examples=[{"dataset": "mnist", "model": "mlp"}])
    figures: list[str] = Field(description="Columns of the table, by name.", examples=[["test_accuracy"]])
    variants: list[Variant] = Field([], description="Single configurations, trained side by side.", examples=[[]])
    searches: list[Search] = Field([], description="Searches, after the variants.", examples=[[]])
    seeds: int = Field(
        1,
        ge=1,
        le=100,
        description="Number of repetitions, each with another seed for split, training and sampler.",
        examples=[10],
    )
    confirmation: Confirmation = Field(
        Confirmation(top_k=1, n_seeds=1),
        description="The final evaluation of each study.",
        examples=[{"top_k": 3, "n_seeds": 5}],
    )
    winner_bias: bool = Field(
        False,
        description="Also evaluate the best trial of each search without confirmation, to measure how much its value "
        "in the search exceeds that on the test split.",
        examples=[False],
    )
    saved_model: bool = Field(
        False,
        description="Save the best model of each search, load it again, and evaluate it on the validation split.",
        examples=[False],
    )
    differences: str = Field(description="Why measured and published figures differ.", examples=["another optimizer"])


def experiment_names() -> list[str]:
    """Return the names of the published experiments. Raises CommandError outside of a checkout."""
    if not FOLDER.is_dir():
        raise CommandError(f"the published experiments need a checkout of the repository: there is no folder {FOLDER}")
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_experiment(name: str) -> Experiment:
    """Return an experiment by its name, or by the path of its file. Raises CommandError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise CommandError(f"NAME must be one of {', '.join(experiment_names())}, or a YAML file: {name!r}")
    try:
        experiment = Experiment.model_validate(load(path.read_bytes()))
    except YamlError as error:
        raise CommandError(f"{path}: {error}") from error
    except ValidationError as error:
        raise CommandError(f"{path}: {first_error(error)}") from error
    unknown = set(experiment.figures) - set(FIGURES)
    if unknown:
        raise CommandError(f"{path}: figures must be among {', '.join(FIGURES)}: {', '.join(sorted(unknown))}")
    return experiment
