"""A user's own model."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from service.schemas.study.models import OwnModel
from service.schemas.study.training import Training
from workers.data.batches import make_batches
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.models.build import model_for
from workers.user_process.custom_parts.entrypoint import call

N_TRIED = 2


def build(training: Training, data: TrialData) -> nn.Module:
    """The model of a training, built in or the user's own, drawn from the global generators.

    Raises ModelError, MissingCodeError, CustomCodeError, and what the code raises.
    """
    if not isinstance(training.model, OwnModel):
        return model_for(training, data)
    entrypoint = training.model.entrypoint
    model = call(entrypoint, training.model.arguments)
    if not isinstance(model, nn.Module):
        raise ModelError(f"{entrypoint} must return a torch.nn.Module: {type(model).__name__}")
    _try(model.cpu(), data, entrypoint)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"{entrypoint} must return a module with parameters to train: it has none")
    wrong = next((name for name, one in model.named_parameters() if not one.is_floating_point()), None)
    if wrong is not None:
        raise ModelError(f"parameters must be real numbers: {wrong} of {entrypoint}")
    return model


@torch.no_grad()
def _try(model: nn.Module, data: TrialData, entrypoint: str) -> None:
    """Pass some examples through, which also gives lazy layers their shapes."""
    images = make_batches(data, torch.float32).load(data.train[:N_TRIED]).cpu()
    is_lazy = any(isinstance(one, UninitializedParameter) for one in [*model.parameters(), *model.buffers()])
    logits = model.eval()(images)
    model.train()
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        raise ModelError(f"{entrypoint} must give logits, [batch, classes]: {shape} for {list(images.shape)}")
    if logits.shape[1] < data.n_classes:
        raise ModelError(f"{entrypoint} must give logits of {data.n_classes} classes: {logits.shape[1]}")
    if is_lazy and any(isinstance(one, UninitializedParameter) for one in model.parameters()):
        raise ModelError(f"{entrypoint} has lazy layers that take no part in evaluation")
