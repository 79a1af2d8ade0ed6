"""Trials from elsewhere that a study's sampler learns from."""

from typing import Annotated

from pydantic import Field

from service.schemas.fields import Answer, Identifier, Number, StrictBody, StudyName, Timestamp
from service.schemas.results import TrialState
from service.schemas.study.definition_fields import Params
from service.schemas.study.samplers import MAX_IMPORTED
from service.schemas.study.search_space import MAX_PARAMETERS, Distribution

Distributions = dict[Annotated[str, Field(min_length=1, max_length=128)], Distribution]


class ImportedTrial(StrictBody):
    """A trial as a sampler sees it."""

    state: TrialState = Field("COMPLETE", description="State of the trial, by Optuna's name.", examples=["COMPLETE"])
    params: Params = Field(
        max_length=MAX_PARAMETERS, description="Parameters of the trial.", examples=[{"learning_rate": 0.003}]
    )
    values: list[Number] | None = Field(
        None,
        max_length=8,
        description="Objective values of a complete trial, in the order of the objectives; null for other trials.",
        examples=[[0.978]],
    )
    constraints: dict[Annotated[str, Field(max_length=128 + 32)], Number] = Field(
        {},
        max_length=100,
        description="How far the trial is beyond each constraint, by name. A value above 0 breaks the constraint.",
        examples=[{"n_parameters <= 1e+06": -2000.0}],
    )
    last_step: int | None = Field(
        None,
        ge=0,
        lt=2**53,
        description="Last reported step of a pruned trial; null for other trials and with several objectives.",
        examples=[None],
    )
    last_value: Number | None = Field(
        None, description="Value that a pruned trial reported at last_step; null for other trials.", examples=[None]
    )


class NewImport(StrictBody):
    """Trials for a study's sampler to learn from."""

    source: Identifier = Field(
        min_length=1, max_length=500, description="Where the trials come from, in words.", examples=["mnist-2025.csv"]
    )
    distributions: Distributions = Field(
        {},
        max_length=MAX_PARAMETERS,
        description="Distributions of the parameters. Those that the search space does not have are required.",
        examples=[{"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}],
    )
    defaults: Params = Field(
        {},
        max_length=MAX_PARAMETERS,
        description="Values of parameters of the search space for trials that lack them: what was fixed when they ran.",
        examples=[{"epochs": 5}],
    )
    allow_empty: bool = Field(
        False,
        description="Whether it is no error if no trial fits, as in one part of many.",
        examples=[True],
    )
    trials: list[ImportedTrial] = Field(
        min_length=1,
        max_length=MAX_IMPORTED,
        description="The trials, oldest first. gp learns from at most 300 of them: the best, and the newest others.",
        examples=[[{"params": {"learning_rate": 0.003}, "values": [0.978]}]],
    )


class LeftOut(Answer):
    """Number of trials that were not imported, by the first reason that applies."""

    state: int = Field(
        0,
        description="Trials that are neither COMPLETE nor PRUNED; with several objectives all that are not COMPLETE.",
        examples=[2],
    )
    results: int = Field(
        0, description="Complete trials with nan as a value, and trials with nan in a constraint.", examples=[0]
    )
    names: int = Field(
        0, description="Trials whose parameters are not those that the search space has for their values.", examples=[0]
    )
    distributions: int = Field(
        0, description="Trials with a parameter of another type or on another scale.", examples=[0]
    )
    constraints: int = Field(
        0, description="Complete trials without a value for each constraint of the definition.", examples=[0]
    )
    values: int = Field(0, description="Trials with a value outside the search space.", examples=[3])


class Import(Answer):
    """One import. The sampler learns from its trials, but they are not trials of the study."""

    number: int = Field(description="Number of the import, from 0.", examples=[0])
    source: str = Field(description="Where the trials come from.", examples=["study mnist-2025"])
    requested_by: str = Field(
        description="Name of the requesting token; anonymous without a token, warm_start_from for the definition.",
        examples=["warm_start_from"],
    )
    imported_at: Timestamp = Field(description="Time of the import.", examples=["2026-01-02T03:04:05Z"])
    n_trials: int = Field(description="Number of imported trials.", examples=[37])
    left_out: LeftOut = Field(
        description="Numbers of trials that were not imported.", examples=[{"state": 2, "values": 3}]
    )


class ImportList(Answer):
    """The imports of one study."""

    study: StudyName
    imports: list[Import] = Field(description="All imports, oldest first.", examples=[[]])


class ImportWithTrials(Import):
    """An import with its trials."""

    trials: list[ImportedTrial] = Field(description="The imported trials, in order.", examples=[[]])
