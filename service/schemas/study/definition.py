"""A study definition, version 1, which users POST to create a study."""

from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from service.schemas.study.checks import definition_errors
from service.schemas.study.definition_fields import DefinitionFields
from service.schemas.study.pruners import NoPruner
from service.schemas.study.training import FINAL_METRICS


class Definition(DefinitionFields):
    """A study: what to search, what to train, how, and when to end."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        is_final = self.objectives[0].metric in FINAL_METRICS and not self.is_user_code
        prunable = len(self.objectives) == 1 and not is_final
        if not prunable and "pruner" not in self.model_fields_set:
            self.pruner = NoPruner(name="none")
        errors = definition_errors(self)
        if errors:
            raise PydanticCustomError("definition", "the definition does not hold together", {"errors": errors})
        return self
