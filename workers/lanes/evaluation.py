"""Validation of several lanes at once."""

import torch
from torch import Tensor

from workers.data.batches import Batches
from workers.data.trial_data import TrialData
from workers.lanes.networks.network import Network
from workers.models.evaluation import evaluation_batch_size


def evaluate_lanes(network: Network, lanes: slice, data: TrialData, images: Batches) -> tuple[Tensor, Tensor]:
    """Return mean cross entropy and accuracy (0 to 1) over the validation rows, each float64 [lanes].

    All lanes see a batch before the next one is loaded. The sums are float64, so that they do not depend on the batch
    size, which depends on the number of lanes.
    """
    n_lanes = lanes.stop - lanes.start
    loss = torch.zeros(n_lanes, dtype=torch.float64, device=data.images.device)
    n_correct = torch.zeros_like(loss)
    for rows in torch.split(data.validation, evaluation_batch_size(data.images, n_lanes)):
        logits = network.evaluate(lanes, images.load(rows))
        targets = data.labels.index_select(0, rows).expand(n_lanes, 1, -1)
        log_probabilities = torch.log_softmax(logits, 1)
        loss -= log_probabilities.gather(1, targets).sum((1, 2), dtype=torch.float64)
        n_correct += (log_probabilities.max(1, keepdim=True).indices == targets).sum((1, 2))
    return loss / len(data.validation), n_correct / len(data.validation)
