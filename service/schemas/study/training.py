"""The training of a trial: every field that a study can fix, and most of which it can search."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from service.schemas.fields import Rate, Rates, StrictBody
from service.schemas.study.allowance import Needs
from service.schemas.study.data import AnyDataset, CustomDataset, named
from service.schemas.study.limits import MemoryLimit, StepTimeout, TrialTimeout
from service.schemas.study.models import AnyModel, CustomModel

EPOCH_METRICS = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "seconds",
)
"""Metrics that are reported after every epoch."""

FINAL_METRICS = (
    "best_epoch",
    "generalization_gap",
    "n_parameters",
    "n_near_zero_weights",
    "training_seconds",
    "waiting_seconds",
)
"""Metrics that are added when a trial completes."""

TEST_METRICS = ("test_loss", "test_accuracy", "n_test_images")
"""Metrics that are added by the one trial of a final evaluation that reads the test split."""


TrainingSeed = Annotated[
    int,
    Field(
        ge=0,
        lt=2**48,
        description="Seed of the study's trainings; each trial's own seed is drawn from it and its number.",
        examples=[0],
    ),
]
OptimizerKind = Literal["sgd", "adam", "adamw"]


class Constant(StrictBody):
    """A constant learning rate."""

    name: Literal["constant"] = Field(description="Kind of the schedule.", examples=["constant"])


class Cosine(StrictBody):
    """Cosine decay over all steps (Loshchilov and Hutter, arXiv 1608.03983, without restarts)."""

    name: Literal["cosine"] = Field(description="Kind of the schedule.", examples=["cosine"])
    final_fraction: float = Field(
        0.0, ge=0, le=1, description="Final learning rate, as a share of the initial one.", examples=[0.0]
    )


class OneCycle(StrictBody):
    """Warm up to the learning rate, then anneal to almost zero (Smith and Topin, arXiv 1708.07120)."""

    name: Literal["onecycle"] = Field(description="Kind of the schedule.", examples=["onecycle"])
    warmup_fraction: float = Field(
        0.3, gt=0, lt=1, description="Share of all steps that are spent warming up.", examples=[0.3]
    )


class Step(StrictBody):
    """Multiply the learning rate by gamma every few epochs."""

    name: Literal["step"] = Field(description="Kind of the schedule.", examples=["step"])
    step_epochs: int = Field(10, ge=1, le=100_000, description="Number of epochs between two steps.", examples=[10])
    gamma: float = Field(0.1, gt=0, le=1, description="Factor at each step.", examples=[0.1])


Schedule = Annotated[
    Annotated[Constant | Cosine | OneCycle | Step, Field(discriminator="name")],
    BeforeValidator(named),
]


class EarlyStopping(StrictBody):
    """End a trial when a metric has stopped improving, and keep the weights of the best epoch."""

    metric: Literal["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"] = Field(
        "validation_accuracy", description="The metric to watch.", examples=["validation_accuracy"]
    )
    patience: int = Field(
        5,
        ge=1,
        le=100_000,
        description="Number of epochs without a better value after which the trial ends.",
        examples=[4],
    )
    min_delta: float = Field(
        0.0, ge=0, description="Smallest change that counts as better, in the metric's unit.", examples=[0.0]
    )


class Training(StrictBody):
    """The training configuration of one trial: the fields that the study fixes and the trial's parameters."""

    dataset: AnyDataset = Field(
        description="The data set; a bare name stands for {name: …}, an entrypoint for a custom data set.",
        examples=[{"name": "mnist"}],
    )
    model: AnyModel = Field(
        description="The model; a bare name stands for {name: …}, an entrypoint for a custom model.",
        examples=[{"name": "mlp", "hidden": [128, 64]}],
    )
    optimizer: OptimizerKind = Field(
        "adam", description="The optimizer, by its name in torch.optim.", examples=["adam"]
    )
    learning_rate: float = Field(1e-3, gt=0, le=1000, description="Learning rate per step.", examples=[1e-3])
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="λ of ½λ‖w‖² in the loss for sgd and adam; decoupled for adamw.",
        examples=[1e-5],
    )
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum; used by sgd only.", examples=[0.9])
    nesterov: bool = Field(
        False,
        description="Nesterov's momentum; used by sgd only, without effect at momentum 0.",
        examples=[False],
    )
    beta1: float = Field(
        0.9, ge=0, lt=1, description="Decay of the first moment; used by adam and adamw.", examples=[0.9]
    )
    beta2: float = Field(
        0.999, ge=0, lt=1, description="Decay of the second moment; used by adam and adamw.", examples=[0.999]
    )
    batch_size: int = Field(128, ge=1, le=65536, description="Number of images per step.", examples=[128])
    drop_last: bool = Field(
        False,
        description="Whether to leave out the last batch of an epoch if it is smaller than batch_size. A last batch of "
        "one image is left out anyway if the model cannot train on it, as with batch norm.",
        examples=[False],
    )
    epochs: int = Field(10, ge=1, le=100_000, description="Number of passes over the training data.", examples=[20])
    dropout: Rates = Field(
        0.0,
        description="Share of hidden units that are dropped in training: one rate for all hidden layers, "
        "or a list with one rate for each.",
        examples=[0.25],
    )
    input_dropout: Rate = Field(0.0, description="Share of inputs that are dropped in training.", examples=[0.0])
    noise_std: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Standard deviation of Gaussian noise on the normalized inputs in training.",
        examples=[0.0],
    )
    hidden_noise_std: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Standard deviation of Gaussian noise on hidden activations in training.",
        examples=[0.0],
    )
    l1_decay: float = Field(
        0.0, ge=0, le=1000, description="λ of λ‖w‖₁ in the loss, over weights without biases.", examples=[0.0]
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the target that is spread over all classes.", examples=[0.0]
    )
    gradient_clip: float | None = Field(
        None, gt=0, description="Maximum norm of all gradients together; null for no clipping.", examples=[1.0]
    )
    schedule: Schedule = Field(
        Constant(name="constant"),
        description="The schedule of the learning rate; a bare name stands for {name: …}.",
        examples=["cosine"],
    )
    precision: Literal["fp32", "bf16", "auto"] = Field(
        "fp32",
        description="Number format of the forward pass; auto is bf16 on devices with hardware for it "
        "(on a CPU only for models with convolutions), otherwise fp32.",
        examples=["fp32"],
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="When to end a trial that no longer improves; null for never.", examples=[None]
    )
    seed: TrainingSeed = 0
    trial_timeout_seconds: TrialTimeout = None
    step_timeout_seconds: StepTimeout = None
    memory_limit_mib: MemoryLimit = None

    @model_validator(mode="before")
    @classmethod
    def _check_no_devices(cls, value: Any) -> Any:
        given = [name for name in ("devices", "launch") if isinstance(value, dict) and name in value]
        if given:
            raise ValueError(
                f"{given[0]} is for trainings with an entrypoint or a command: lanes train as many trials of built-in "
                "training on one device as are fastest"
            )
        return value

    @property
    def entrypoints(self) -> tuple[str, ...]:
        """The entrypoints that a worker must allow to train this: those of a custom data set and a custom model."""
        parts = (self.dataset, self.model)
        return tuple(part.entrypoint for part in parts if isinstance(part, CustomDataset | CustomModel))

    @property
    def needs(self) -> Needs:
        """What a worker must allow to train this."""
        return Needs(self.entrypoints)


PROCESS_LIMITS = ("trial_timeout_seconds", "step_timeout_seconds", "memory_limit_mib")
"""Training fields that limit the process of a custom model or data set."""

FIXED_ONLY = {
    **dict.fromkeys(PROCESS_LIMITS, "it limits the process of a trial and does not change its result"),
    "seed": "the seed of each trial is drawn from it",
    "model.entrypoint": "it decides which workers may train",
    "model.name": "all trials of a study have the same kind of model",
    "early_stopping.metric": "it decides which epoch counts, so all trials must share it",
}
"""Training fields that a study cannot search, with the reason."""


def why_fixed(key: str) -> str | None:
    """The reason why a training field cannot be searched, or None when it can."""
    if key == "dataset" or (key.startswith("dataset.") and key != "dataset.augment"):
        return "every trial of a study must see the same data and the same split"
    return FIXED_ONLY.get(key)


def training_field(parameter: str) -> str:
    """The training field that a parameter belongs to; `dropout` for `model.dropout` of a custom model."""
    first, _, rest = parameter.partition(".")
    return "dropout" if first == "model" and rest.partition(".")[0] == "dropout" else first
