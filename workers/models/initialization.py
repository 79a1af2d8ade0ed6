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
"""As torch.nn.init.calculate_gain has them; gelu, silu and elu, which it lacks, take that of relu."""


def initialize(model: nn.Module, initialization: str, activation: str) -> None:
    """Draw the weights of every linear layer and convolution anew, the last one's too; their biases become zero.

    All are normal: with `he` of standard deviation gain / √inputs (He et al., arXiv 1502.01852), with `xavier` of
    gain · √(2 / (inputs + outputs)) (Glorot and Bengio, 2010). `default` leaves PyTorch's own, which are uniform of
    standard deviation 1 / √(3 · inputs).
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
