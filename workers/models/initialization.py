"""Initialization of weights."""

from torch import nn

GAINS = {
    "relu": 2**0.5,
    "leaky_relu": 2**0.5,
    "gelu": 2**0.5,
    "silu": 2**0.5,
    "elu": 2**0.5,
    "tanh": 5 / 3,
    "sigmoid": 1.0,
}
"""Gains of torch.nn.init.calculate_gain. It has none for gelu, silu and elu, which take that of relu."""


def initialize(model: nn.Module, initialization: str, activation: str) -> None:
    """Draw new weights for every linear and convolution layer, the last one included, and set their biases to zero.

    The weights are normal. Their standard deviation is gain / √inputs for `he` (He et al., arXiv 1502.01852) and
    gain · √(2 / (inputs + outputs)) for `xavier` (Glorot and Bengio, 2010). `default` keeps the weights of PyTorch,
    which are uniform with a standard deviation of 1 / √(3 · inputs).
    """
    if initialization == "default":
        return
    gain = GAINS[activation]
    for module in model.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        if initialization == "he":
            n_inputs = module.weight[0].numel()
            nn.init.normal_(module.weight, std=gain / n_inputs**0.5)
        else:
            nn.init.xavier_normal_(module.weight, gain)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
