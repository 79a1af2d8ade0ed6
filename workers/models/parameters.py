from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

NEAR_ZERO = 1e-3


def weights_of(model: nn.Module) -> list[Tensor]:
    """The weights of linear and convolution layers."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Linear | _ConvNd)]
