"""One pass over the training data."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from workers.errors import ModelError
from workers.parameters import FlatParameters


def split_batches(rows: Tensor, batch_size: int, *, drop_single: bool) -> Sequence[Tensor]:
    """Batches of rows; the last may be smaller, and is left out when it is a single row and `drop_single` says so.

    Raises ModelError when that leaves nothing.
    """
    batches: Sequence[Tensor] = torch.split(rows, batch_size)
    if drop_single and len(batches[-1]) == 1:
        batches = batches[:-1]
    if not batches or (drop_single and batch_size == 1):
        raise ModelError(f"batch norm needs batches of 2 or more: {batch_size=}, {len(rows)} training images")
    return batches


def train_epoch(
    model: nn.Module,
    parameters: FlatParameters,
    labels: Tensor,
    batches: Sequence[Tensor],
    *,
    load: Callable[[Tensor], Tensor],
    step: Callable[[int], None],
    autocast: AbstractContextManager[object],
    label_smoothing: float,
    l1_decay: float,
    gradient_clip: float | None,
    should_stop: Callable[[], bool],
) -> tuple[float, float] | None:
    """Train on every batch of rows; `load` makes float images of rows, `step(batch_number)` moves the weights.

    Mean over the images of the loss, with label smoothing but without weight penalties, and accuracy, 0 to 1,
    as they were when each batch came (so with dropout, and before the step). None when stopped.
    """
    model.train()
    losses: list[Tensor] = []
    predictions: list[Tensor] = []
    for number, batch in enumerate(batches):
        with autocast:
            logits = model(load(batch))
            loss = F.cross_entropy(logits, labels.index_select(0, batch), label_smoothing=label_smoothing)
        parameters.gradient.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        penalize_and_clip(parameters, l1_decay, gradient_clip)
        step(number)
        losses.append(loss.detach())
        predictions.append(logits.detach().argmax(1))
        if should_stop():
            return None
    return _means(losses, predictions, batches, labels)


def penalize_and_clip(parameters: FlatParameters, l1_decay: float, gradient_clip: float | None) -> None:
    """Add the gradient of λ‖w‖₁ over weights, zero at w = 0, then scale all gradients to a global norm."""
    if l1_decay > 0:
        signs = parameters.values.detach().sign()
        parameters.gradient.addcmul_(signs, parameters.is_weight, value=l1_decay)
    if gradient_clip is not None:
        nn.utils.clip_grad_norm_(parameters.values, gradient_clip)


def _means(
    losses: list[Tensor], predictions: list[Tensor], batches: Sequence[Tensor], labels: Tensor
) -> tuple[float, float]:
    # Only here does the host wait for the device.
    sizes = torch.tensor([len(batch) for batch in batches], dtype=torch.float32, device=labels.device)
    loss = (torch.stack(losses).float() @ sizes) / sizes.sum()
    correct = torch.cat(predictions) == labels.index_select(0, torch.cat(list(batches)))
    return loss.item(), correct.sum().item() / len(correct)
