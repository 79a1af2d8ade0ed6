"""The calls of custom code about its trial while it runs: parameters, user attributes and constraints."""

from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from service.schemas.fields import Answer, Identifier, Number, Scalar, WorkerBody, finite, not_nan
from service.schemas.study.search_space import Distribution

ParameterName = Annotated[
    Identifier, Field(min_length=1, max_length=128, description="Name of the parameter.", examples=["n_layers"])
]


UserAttrs = Annotated[
    dict[Annotated[Identifier, Field(min_length=1, max_length=128)], JsonValue],
    AfterValidator(finite),
    Field(
        max_length=100, description="User attributes by name, as for Optuna's set_user_attr.", examples=[{"note": "x"}]
    ),
]


Constraints = Annotated[
    dict[Annotated[Identifier, Field(min_length=1, max_length=128)], Annotated[Number, AfterValidator(not_nan)]],
    Field(
        min_length=1,
        max_length=100,
        description="Constraint values by name, as for Optuna's set_constraint. A value above 0 breaks the constraint.",
        examples=[{"size": -1.0}],
    ),
]


class Suggest(WorkerBody):
    """The request of an entrypoint for a parameter while it runs."""

    name: ParameterName
    distribution: Distribution = Field(
        description="Distribution of the parameter, as in a search space.",
        examples=[{"type": "int", "low": 1, "high": 4}],
    )


class Suggested(Answer):
    """The answer to Suggest."""

    value: Scalar = Field(description="Value of the parameter. It does not change in this trial.", examples=[2])


class NewUserAttrs(WorkerBody):
    """User attributes that an entrypoint sets. A value replaces the earlier one of the same name."""

    user_attrs: UserAttrs


class KnownUserAttrs(Answer):
    """The user attributes of a trial."""

    user_attrs: dict[str, JsonValue] = Field(
        description="All user attributes of the trial, by name.", examples=[{"note": "x"}]
    )


class NewConstraints(WorkerBody):
    """Constraint values that an entrypoint sets. A value replaces the earlier one of the same name."""

    constraints: Constraints


class KnownConstraints(Answer):
    """The constraint values of a trial."""

    constraints: dict[str, Number] = Field(
        description="All constraint values of the trial, by name.", examples=[{"size": -1.0}]
    )
