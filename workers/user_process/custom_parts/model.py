"""Build custom models and check that they can be trained."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from service.schemas.study.models import CustomModel
from service.schemas.study.training import Training
from workers.data.batches import make_batches
from workers.data.trial_data import TrialData
from workers.errors import ModelError
from workers.models.build import model_for
from workers.user_process.custom_parts.entrypoint import call_function

N_EXAMPLES = 2


def make_model(training: Training, data: TrialData) -> nn.Module:
    """Build the model of a training, built-in or custom. Its weights are drawn from the global generators.

    Raises ModelError, RetryElsewhereError, EntrypointError, and whatever the code raises.
    """
    if not isinstance(training.model, CustomModel):
        return model_for(training, data)
    entrypoint = training.model.entrypoint
    model = call_function(entrypoint, training.model.arguments)
    if not isinstance(model, nn.Module):
        raise ModelError(f"{entrypoint} must return a torch.nn.Module: {type(model).__name__}")
    _check_logits(model.cpu(), data, entrypoint)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"{entrypoint} must return a module with parameters to train: it has none")
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            raise ModelError(f"parameters must be real numbers: {name} of {entrypoint}")
    return model


@torch.no_grad()
def _check_logits(model: nn.Module, data: TrialData, entrypoint: str) -> None:
    """Pass a few examples through the model, which also gives lazy layers their shapes. Raises ModelError."""
    images = make_batches(data, torch.float32).load(data.train[:N_EXAMPLES]).cpu()
    is_lazy = any(isinstance(tensor, UninitializedParameter) for tensor in [*model.parameters(), *model.buffers()])
    logits = model.eval()(images)
    model.train()
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        raise ModelError(f"{entrypoint} must give logits, [batch, classes]: {shape} for {list(images.shape)}")
    if logits.shape[1] < data.n_classes:
        raise ModelError(f"{entrypoint} must give logits of {data.n_classes} classes: {logits.shape[1]}")
    if is_lazy and any(isinstance(tensor, UninitializedParameter) for tensor in model.parameters()):
        raise ModelError(f"{entrypoint} has lazy layers that are not used in evaluation")
