"""The built-in models and their options, and custom models."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from service.schemas.fields import Rates, StrictBody
from service.schemas.study.data import kind_of_part, named
from service.schemas.study.entrypoints import MAX_ARGUMENTS, Arguments, Entrypoint

Width = Annotated[int, Field(ge=1, le=16384)]
Activation = Annotated[
    Literal["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu"],
    Field(description="Activation function after every hidden layer.", examples=["relu"]),
]
BatchNorm = Annotated[
    bool, Field(description="Whether to normalize batches before every activation.", examples=[False])
]
Initialization = Annotated[
    Literal["default", "he", "xavier"],
    Field(
        description="Initial weights of every layer. default is PyTorch's; he and xavier are normal with the "
        "activation's gain, and biases are zero.",
        examples=["default"],
    ),
]


class Mlp(StrictBody):
    """Fully connected layers; with no hidden layer it is softmax regression."""

    name: Literal["mlp"] = Field(description="Kind of the model.", examples=["mlp"])
    hidden: list[Width] = Field(
        [128, 64], max_length=64, description="Number of units of each hidden layer.", examples=[[128, 64]]
    )
    activation: Activation = "relu"
    batch_norm: BatchNorm = False
    initialization: Initialization = "default"


class ConvBlock(StrictBody):
    """Convolution (stride 1, same padding), batch norm if asked for, activation, pooling, dropout."""

    channels: int = Field(32, ge=1, le=4096, description="Number of output channels.", examples=[32])
    kernel: int = Field(3, ge=1, le=15, description="Side length of the kernel in pixels.", examples=[3])
    pooling: Literal["max", "avg", "none"] = Field("max", description="Pooling after the activation.", examples=["max"])
    pool_size: int = Field(2, ge=2, le=8, description="Side length of a pooling window.", examples=[2])


class Cnn(StrictBody):
    """Convolution blocks, then fully connected layers."""

    name: Literal["cnn"] = Field(description="Kind of the model.", examples=["cnn"])
    blocks: list[ConvBlock] = Field(
        [ConvBlock(channels=32), ConvBlock(channels=64)],
        min_length=1,
        max_length=32,
        description="The convolution blocks, in order.",
        examples=[[{"channels": 32}, {"channels": 64, "pooling": "avg"}]],
    )
    dense: list[Width] = Field(
        [128], max_length=16, description="Number of units of each hidden layer after the blocks.", examples=[[128]]
    )
    activation: Activation = "relu"
    batch_norm: BatchNorm = False
    initialization: Initialization = "default"


class LeNet(StrictBody):
    """LeNet-5: two 5×5 convolutions (6 and 16 channels), then 120 and 84 units (LeCun et al., 1998)."""

    name: Literal["lenet"] = Field(description="Kind of the model.", examples=["lenet"])
    activation: Activation = "tanh"
    pooling: Literal["max", "avg"] = Field("avg", description="Pooling after each convolution.", examples=["avg"])


class ResNet18(StrictBody):
    """torchvision's ResNet-18, untrained; images up to 64 pixels get a 3×3 stem without pooling."""

    name: Literal["resnet18"] = Field(description="Kind of the model.", examples=["resnet18"])


BuiltInModel = Mlp | Cnn | LeNet | ResNet18
Model = Annotated[
    Annotated[BuiltInModel, Field(discriminator="name")],
    BeforeValidator(named),
]


class CustomModel(StrictBody):
    """A custom model: a function builds it, in a separate process on workers that allow it."""

    model_config = ConfigDict(title="OwnModel")

    entrypoint: Entrypoint = Field(
        description="The function, as package.module:function. It takes the arguments as a dict and returns a torch "
        "module that maps a batch of inputs to logits, [batch, classes].",
        examples=["mypkg.nets:build_model"],
    )
    arguments: Arguments = Field(
        {},
        max_length=MAX_ARGUMENTS,
        description="The arguments that the function gets, with the parameters model.arguments.NAME added.",
        examples=[{"width": 64}],
    )
    dropout: Rates | None = Field(
        None,
        description="Rate of all dropout layers of the module, or a list with one rate for each in the order of "
        "module.modules(). Trials with different rates can train in lanes together. Null keeps the function's rates.",
        examples=[0.2],
    )


AnyModel = Annotated[
    Annotated[Model, Tag("built_in")] | Annotated[CustomModel, Tag("own")],
    Discriminator(kind_of_part),
]


def n_dropout_layers(model: BuiltInModel | CustomModel) -> int:
    """Number of layers of a model that have a dropout rate; 0 for a custom model."""
    match model:
        case Mlp():
            return len(model.hidden)
        case Cnn():
            return len(model.blocks) + len(model.dense)
        case LeNet():
            return 2
        case ResNet18():
            return 1
        case CustomModel():  # its layers have their own rates
            return 0
