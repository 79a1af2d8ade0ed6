from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from workers.epoch import penalize_and_clip, split_batches, train_epoch
from workers.errors import ModelError
from workers.evaluation import evaluate
from workers.optimizers import initial_state, step
from workers.parameters import count_near_zero, flatten_parameters, snapshot

IMAGES = torch.randn(50, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(50) % 3
ROWS = torch.randperm(50, generator=torch.Generator().manual_seed(1))


def small_model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).double()


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def train(model: nn.Module, move: Callable[[Tensor, Tensor], None], **options: Any) -> tuple[float, float] | None:
    """One epoch in batches of 16; `move(weights, gradient)` is the optimizer."""
    parameters = flatten_parameters(model)
    defaults = {"label_smoothing": 0.0, "l1_decay": 0.0, "gradient_clip": None, "should_stop": lambda: False}
    return train_epoch(
        model,
        parameters,
        LABELS,
        torch.split(ROWS, 16),
        load=IMAGES.__getitem__,
        step=lambda _: move(parameters.values, parameters.gradient),
        autocast=nullcontext(),
        **(defaults | options),
    )


def descend(weights: Tensor, gradient: Tensor) -> None:
    with torch.no_grad():
        weights -= 0.1 * gradient


def plain_loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Callable[[Tensor, Tensor], Tensor], clip: float | None
) -> float:
    """The same epoch as it is commonly written. Returns the mean loss over the images."""
    total = 0.0
    model.train()
    for batch in torch.split(ROWS, 16):
        optimizer.zero_grad()
        loss = loss_of(model(IMAGES[batch]), LABELS[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        total += float(loss.detach()) * len(batch) / len(ROWS)
    return total


@pytest.mark.parametrize("clip", [None, 0.05, 1e6])
@pytest.mark.parametrize("l1_decay", [0.0, 0.01])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_an_epoch_equals_the_plain_loop(clip: float | None, l1_decay: float, label_smoothing: float) -> None:
    model, reference = small_model(), small_model()

    def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
        penalty: Tensor = reference[0].weight.abs().sum() + reference[4].weight.abs().sum()
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing) + l1_decay * penalty

    expected_loss = plain_loop(reference, torch.optim.SGD(reference.parameters(), lr=0.1), loss_of, clip)
    result = train(model, descend, l1_decay=l1_decay, label_smoothing=label_smoothing, gradient_clip=clip)
    torch.testing.assert_close(weights_of(model), weights_of(reference))
    assert result is not None
    if l1_decay == 0:
        assert result[0] == pytest.approx(expected_loss, rel=1e-6)


def test_adam_on_flat_parameters_equals_adam_on_each() -> None:
    model, reference = small_model(), small_model()
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=0.1, foreach=False)
    plain_loop(reference, optimizer, F.cross_entropy, None)
    state = initial_state("adam", nn.Parameter(torch.cat([p.detach().flatten() for p in model.parameters()])))

    def adam(weights: Tensor, gradient: Tensor) -> None:
        fixed = {"weight_decay": 0.1, "momentum": 0.0, "nesterov": False, "beta1": 0.9, "beta2": 0.999}
        step("adam", weights, gradient, state, 0.01, **fixed)  # type: ignore[arg-type]

    train(model, adam)
    torch.testing.assert_close(weights_of(model), weights_of(reference))


def test_l1_spares_biases_and_batch_norm_and_weights_at_zero() -> None:
    model = small_model()
    with torch.no_grad():
        model[4].weight[0] = 0.0
    parameters = flatten_parameters(model)
    penalize_and_clip(parameters, 0.5, None)
    for name, parameter in model.named_parameters():
        expected = 0.5 * parameter.detach().sign() if name in ("0.weight", "4.weight") else parameter.detach() * 0
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected)


def test_loss_and_accuracy_are_means_over_the_images_of_uneven_batches() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).double()
    result = train(model, lambda *_: None)
    logits = model(IMAGES).detach()
    assert result is not None
    assert result[0] == pytest.approx(float(F.cross_entropy(logits, LABELS)), rel=1e-6)
    assert result[1] == pytest.approx(float((logits.argmax(1) == LABELS).double().mean()))


def test_stopping_is_asked_for_after_every_batch() -> None:
    answers = iter([False, True])
    moves: list[int] = []
    assert train(small_model(), lambda *_: moves.append(1), should_stop=lambda: next(answers)) is None
    assert len(moves) == 2


@pytest.mark.parametrize(
    ("n", "batch_size", "drop_single", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (9, 4, False, [4, 4, 1]),
        (9, 4, True, [4, 4]),
        (10, 4, True, [4, 4, 2]),
        (3, 8, True, [3]),
        (2, 1, False, [1, 1]),
    ],
)
def test_the_last_batch_is_dropped_only_when_batch_norm_would_get_one(
    n: int, batch_size: int, drop_single: bool, sizes: list[int]
) -> None:
    batches = split_batches(torch.arange(n), batch_size, drop_single=drop_single)
    assert [len(batch) for batch in batches] == sizes


@pytest.mark.parametrize(("n", "batch_size"), [(1, 8), (5, 1)])
def test_batch_norm_without_a_batch_is_an_error(n: int, batch_size: int) -> None:
    with pytest.raises(ModelError, match=f"{batch_size=}"):
        split_batches(torch.arange(n), batch_size, drop_single=True)


def test_flat_parameters_are_the_models_own() -> None:
    model, images = small_model(), IMAGES[:4]
    before = model(images)
    parameters = flatten_parameters(model)
    torch.testing.assert_close(model(images), before)
    assert int(parameters.is_weight.sum()) == 36 + 192
    model(images).sum().backward()
    assert float(parameters.gradient.abs().sum()) > 0
    kept = snapshot(model)
    with torch.no_grad():
        parameters.values.zero_()
    assert count_near_zero(model) == 36 + 192
    model.load_state_dict(kept)
    assert float(parameters.values.detach().abs().sum()) > 0


def test_evaluation_is_plain_cross_entropy_over_the_rows_given() -> None:
    images = torch.randint(0, 256, (2500, 1, 24, 24), dtype=torch.uint8)  # two batches
    labels = torch.randint(0, 3, (2500,))
    rows = torch.randperm(2500)[:2100]
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(576, 3))
    mean, std = torch.full((1, 1, 1), 100.0), torch.full((1, 1, 1), 50.0)
    loss, accuracy = evaluate(model, images, labels, rows, mean, std, nullcontext())
    logits = model.eval()((images[rows].float() - mean) / std).detach()
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels[rows])), rel=1e-5)
    assert accuracy == pytest.approx(float((logits.argmax(1) == labels[rows]).float().mean()))
