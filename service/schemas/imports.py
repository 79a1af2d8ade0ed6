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
    """What a sampler learns of a trial."""

    state: TrialState = Field("COMPLETE", description="Its state.", examples=["COMPLETE"])
    params: Params = Field(
        max_length=MAX_PARAMETERS, description="Its parameters.", examples=[{"learning_rate": 0.003}]
    )
    values: list[Number] | None = Field(
        None, max_length=8, description="Objective values of a complete trial, in order.", examples=[[0.978]]
    )
    constraints: dict[Annotated[str, Field(max_length=128 + 32)], Number] = Field(
        {},
        max_length=100,
        description="How far it is beyond each constraint, by name; above 0 it is violated.",
        examples=[{"n_parameters <= 1e+06": -2000.0}],
    )
    last_step: int | None = Field(
        None,
        ge=0,
        lt=2**53,
        description="Last reported step of a pruned trial; null with several objectives.",
        examples=[None],
    )
    last_value: Number | None = Field(None, description="What it reported there.", examples=[None])


class NewImport(StrictBody):
    """Trials for a study's sampler to learn from."""

    source: Identifier = Field(
        min_length=1, max_length=500, description="Where they come from, in words.", examples=["mnist-2025.csv"]
    )
    distributions: Distributions = Field(
        {},
        max_length=MAX_PARAMETERS,
        description="Of their parameters, where it is known. What the search space lacks must be here.",
        examples=[{"learning_rate": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}],
    )
    trials: list[ImportedTrial] = Field(
        min_length=1,
        max_length=MAX_IMPORTED,
        description="The trials, oldest first. gp sees 300 of them all: the best, and the newest of the others.",
        examples=[[{"params": {"learning_rate": 0.003}, "values": [0.978]}]],
    )


class LeftOut(Answer):
    """How many trials were not imported, by the first reason that was met."""

    state: int = Field(
        0, description="Neither COMPLETE nor PRUNED; with several objectives not COMPLETE.", examples=[2]
    )
    names: int = Field(
        0, description="Other parameters than those that the search space has beside the others.", examples=[0]
    )
    distributions: int = Field(0, description="A parameter of another type, or on another scale.", examples=[0])
    constraints: int = Field(
        0, description="Complete, and a constraint of the definition is not known of it.", examples=[0]
    )
    values: int = Field(0, description="A value that the search space does not contain.", examples=[3])


class Import(Answer):
    """One import: the sampler learns from its trials, which are no trials of the study."""

    number: int = Field(description="Number of the import, from 0.", examples=[0])
    source: str = Field(description="Where the trials come from.", examples=["study mnist-2025"])
    requested_by: str = Field(
        description="Name of the token that asked; anonymous without one, warm_start_from if the definition asked.",
        examples=["warm_start_from"],
    )
    imported_at: Timestamp = Field(description="When it was done.", examples=["2026-01-02T03:04:05Z"])
    n_trials: int = Field(description="How many trials were imported.", examples=[37])
    left_out: LeftOut = Field(description="How many were not.", examples=[{"state": 2, "values": 3}])


class ImportList(Answer):
    study: StudyName
    imports: list[Import] = Field(description="All imports, first to last.", examples=[[]])


class ImportWithTrials(Import):
    """One import with its trials."""

    trials: list[ImportedTrial] = Field(description="The imported trials, in order.", examples=[[]])
