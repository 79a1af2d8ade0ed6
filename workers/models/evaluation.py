"""Loss and accuracy of one trained model."""

from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from workers.data.batches import make_batches
from workers.data.trial_data import TrialData

BATCH_PIXELS_CPU = 2**20
"""Input values in a batch, to bound its memory. Larger batches were no faster (12,000 MNIST images, one EPYC core)."""
BATCH_PIXELS_GPU = 2**24
"""Input values in the batches of all lanes together."""


@torch.inference_mode()
def evaluate_model(
    model: nn.Module, data: TrialData, rows: Tensor, autocast: AbstractContextManager[object]
) -> tuple[float, float]:
    """Return mean cross entropy and accuracy (0 to 1) over some rows of the data, int64 [n]."""
    model.eval()
    images, labels = data.images, data.labels
    batches = make_batches(data, torch.float32)
    loss = torch.zeros((), device=images.device)
    n_correct = torch.zeros((), dtype=torch.int64, device=images.device)
    for batch in torch.split(rows, evaluation_batch_size(images)):
        targets = labels.index_select(0, batch)
        with autocast:
            logits = model(batches.load(batch))
            loss += F.cross_entropy(logits, targets, reduction="sum")
        n_correct += (logits.argmax(1) == targets).sum()
    return loss.item() / len(rows), n_correct.item() / len(rows)


def evaluation_batch_size(images: Tensor, n_lanes: int = 1) -> int:
    """Return how many of the images, [n, …], an evaluation of `n_lanes` lanes takes at a time."""
    n_pixels = BATCH_PIXELS_GPU // n_lanes if images.is_cuda else BATCH_PIXELS_CPU
    return max(1, n_pixels // images[0].numel())
