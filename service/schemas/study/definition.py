"""A study definition, version 1, which users POST to create a study."""

from typing import Self

from pydantic import PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.study.checks import definition_errors
from service.schemas.study.default_pruner import default_pruner
from service.schemas.study.definition_fields import DefinitionFields


class Definition(DefinitionFields):
    """A study: what to search, what to train, how, and when to end."""

    _has_default_pruner: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "pruner" not in self.model_fields_set:
            self.pruner = default_pruner(self)
            self._has_default_pruner = True
        errors = definition_errors(self)
        if errors:
            raise PydanticCustomError("definition", "the definition does not hold together", {"errors": errors})
        return self

    @property
    def has_default_pruner(self) -> bool:
        """Whether the definition was written without a pruner."""
        return self._has_default_pruner
