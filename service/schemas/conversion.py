"""Definitions of other systems, and the definitions that they become."""

from typing import Annotated, Literal

from pydantic import Field

from service.schemas.fields import Answer, Identifier, MetricName, StrictBody, StudyName
from service.schemas.study.definition_fields import Direction
from service.schemas.study.entrypoints import Entrypoint

MAX_CHARACTERS = 1024 * 1024


class NewConversion(StrictBody):
    """A W&B sweep, or a search space of Ray Tune, to convert to a definition."""

    text: Annotated[Identifier, Field(max_length=MAX_CHARACTERS)] = Field(
        description="The text. Python is read and not run.",
        examples=["method: random\nparameters: {lr: {min: 0.001, max: 0.1}}\n"],
    )
    format: Literal["yaml", "json", "python"] = Field("yaml", description="What the text is.", examples=["yaml"])
    name: StudyName | None = Field(None, description="Name of the study; null for that of the text.", examples=[None])
    entrypoint: Entrypoint | None = Field(
        None,
        description="Function that trains a trial, as package.module:function; null for the program of the text.",
        examples=["train:main"],
    )
    metric: MetricName | None = Field(
        None, description="Metric to optimize; null for that of the text.", examples=["validation_accuracy"]
    )
    direction: Direction | None = Field(
        None, description="Direction of the metric; null for that of the text.", examples=["maximize"]
    )
    n_trials: int | None = Field(
        None, ge=1, le=1_000_000, description="Number of trials; null for that of the text.", examples=[100]
    )
    space: Annotated[str, Field(max_length=300)] | None = Field(
        None, description="Name of the dictionary to convert, in Python with several; else null.", examples=[None]
    )


class Conversion(Answer):
    """A converted definition."""

    definition: str = Field(
        description="The definition as YAML. Comments say where meanings differ.", examples=["name: sweep\n"]
    )
