import torch
from torch import Tensor

from workers.data.batches import Batches
from workers.data.trial_data import TrialData
from workers.lanes.networks.network import Network
from workers.models.evaluation import evaluated_at_a_time


def evaluate(network: Network, lanes: slice, data: TrialData, images: Batches) -> tuple[Tensor, Tensor]:
    """Mean cross entropy and accuracy over the validation rows, float64 [lanes] each.

    All lanes see the same batch before the next one is loaded. Sums are float64, so that they do not depend on the
    size of batches, which depends on the number of lanes.
    """
    n_lanes = lanes.stop - lanes.start
    loss = torch.zeros(n_lanes, dtype=torch.float64, device=data.images.device)
    n_correct = torch.zeros_like(loss)
    for rows in torch.split(data.validation, evaluated_at_a_time(data.images, n_lanes)):
        logits = network.evaluate(lanes, images.load(rows))
        targets = data.labels.index_select(0, rows).expand(n_lanes, 1, -1)
        log_probabilities = torch.log_softmax(logits, 1)
        loss -= log_probabilities.gather(1, targets).sum((1, 2), dtype=torch.float64)
        n_correct += (log_probabilities.max(1, keepdim=True).indices == targets).sum((1, 2))
    return loss / len(data.validation), n_correct / len(data.validation)
