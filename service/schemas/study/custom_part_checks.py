"""The rules of a definition with a custom model or data set, as (field, message) pairs."""

from collections.abc import Iterator

from service.schemas.study.definition_fields import DefinitionFields
from service.schemas.study.models import CustomModel
from service.schemas.study.training import PROCESS_LIMITS, Training

LAYER_FIELDS = {
    "dropout": "give it to a custom model by model.arguments, or as model.dropout",
    "hidden_noise_std": "give it to a custom model by model.arguments",
}
"""Training fields that only the layers of the built-in models use, with what to do instead for a custom model."""


def custom_part_errors(definition: DefinitionFields) -> Iterator[tuple[str, str]]:
    """The rules that training fields break because the model or the data set is custom, or because neither is."""
    training = definition.training
    if not isinstance(training, Training):
        return
    if not training.entrypoints:
        for field in PROCESS_LIMITS:
            if getattr(training, field) is not None:
                yield f"training.{field}", f"{field} is for a custom model or data set: neither has an entrypoint"
    if isinstance(training.model, CustomModel):
        for field, instead in LAYER_FIELDS.items():
            message = f"{field} is for the built-in models: {instead}"
            if field in training.model_fields_set:
                yield f"training.{field}", message
            elif field in definition.search_space:
                yield f"search_space.{field}", message
