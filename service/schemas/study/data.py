"""The data that a trial trains on, and how it is split."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from service.schemas.fields import StrictBody
from service.schemas.study.entrypoints import MAX_ARGUMENTS, Arguments, Entrypoint

NATIVE_DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "flowers", "image_folder")

TORCHVISION_DATASETS = {
    "cifar100": "CIFAR100",
    "country211": "Country211",
    "dtd": "DTD",
    "eurosat": "EuroSAT",
    "fer2013": "FER2013",
    "fgvc_aircraft": "FGVCAircraft",
    "flowers102": "Flowers102",
    "food101": "Food101",
    "gtsrb": "GTSRB",
    "imagenette": "Imagenette",
    "kmnist": "KMNIST",
    "oxford_iiit_pet": "OxfordIIITPet",
    "pcam": "PCAM",
    "qmnist": "QMNIST",
    "rendered_sst2": "RenderedSST2",
    "semeion": "SEMEION",
    "stl10": "STL10",
    "svhn": "SVHN",
    "usps": "USPS",
}
"""Further data sets: our name and the name of torchvision's class."""


Augment = Literal["none", "flip", "crop", "crop_flip", "cutout", "crop_cutout", "flip_cutout", "crop_flip_cutout"]
AugmentField = Annotated[
    Augment,
    Field(
        description="Random changes to training images: horizontal flip, crop after padding by an eighth, "
        "cutout of a square half as wide as the shorter side (set to the mean, cut off at the border), or several.",
        examples=["none"],
    ),
]


BadImages = Literal["fail", "skip"]


def named(value: Any) -> Any:
    """An object for a bare name: `digits` stands for `{name: digits}`."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict | BaseModel):
        raise PydanticCustomError("name_or_object", "must be a name or an object")
    return value


class Dataset(StrictBody):
    """The training data, and how validation data is split off. A search does not use the test split."""

    name: str = Field(
        description=f"Name of the data set: {', '.join(NATIVE_DATASETS)}; or one of torchvision's: "
        f"{', '.join(TORCHVISION_DATASETS)}.",
        examples=["mnist"],
    )
    path: str | None = Field(
        None,
        max_length=1024,
        description="For image_folder: the folder of class folders, in the worker's data directory; else null.",
        examples=["my-images"],
    )
    image_size: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="Side length in pixels to which images are resized; null keeps small images as they are "
        "and resizes photographs to 96.",
        examples=[96],
    )
    on_bad_image: BadImages = Field(
        "fail",
        description="For image_folder and flowers: whether an image that cannot be read fails the trial, which names "
        "it, or is skipped and counted.",
        examples=["fail"],
    )
    n_train: int | None = Field(
        None,
        ge=2,
        le=1_000_000_000,
        description="Number of training images to use, those for validation included; null for all.",
        examples=[500],
    )
    validation_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the training data held out for validation, where the data set has no "
        "validation split of its own.",
        examples=[0.2],
    )
    split_seed: int = Field(
        0,
        ge=0,
        lt=2**48,
        description="Seed of the shuffle before the split; the split is the same for every trial.",
        examples=[0],
    )
    stratify: bool = Field(
        True, description="Whether both parts of the split have the same share of each class.", examples=[True]
    )
    augment: AugmentField = "none"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name not in NATIVE_DATASETS and self.name not in TORCHVISION_DATASETS:
            known = ", ".join([*NATIVE_DATASETS, *TORCHVISION_DATASETS])
            raise ValueError(f"name must be a known data set: {self.name!r} is none of {known}")
        if self.name == "image_folder" and not self.path:
            raise ValueError("path must be given for image_folder")
        if self.name != "image_folder" and self.path is not None:
            raise ValueError(f"path is for image_folder only: name={self.name}")
        if self.name not in ("image_folder", "flowers") and self.on_bad_image != "fail":
            raise ValueError(f"on_bad_image is for image_folder and flowers only: name={self.name}")
        if self.path is not None and "\0" in self.path:
            raise ValueError(f"path must not contain the character NUL: {self.path!r}")
        if self.path is not None and (self.path.startswith(("/", "\\")) or ".." in self.path.split("/")):
            raise ValueError(f"path must stay inside the worker's data directory: {self.path!r}")
        return self


class CustomDataset(StrictBody):
    """A custom data set: a function returns the data, in a separate process on workers that allow it."""

    model_config = ConfigDict(title="OwnDataset")

    entrypoint: Entrypoint = Field(
        description="The function, as package.module:function. It takes the arguments as a dict and returns the "
        "data to train on, the data to validate on and, optionally, the data to test on.",
        examples=["mypkg.nets:build_dataset"],
    )
    arguments: Arguments = Field(
        {}, max_length=MAX_ARGUMENTS, description="The arguments that the function gets.", examples=[{"split_seed": 0}]
    )
    augment: AugmentField = "none"


def kind_of_part(value: Any) -> str:
    """The kind of a data set or model: `own` for a custom one, which has an entrypoint, or `built_in`."""
    has_entrypoint = "entrypoint" in value if isinstance(value, dict) else hasattr(value, "entrypoint")
    return "own" if has_entrypoint else "built_in"


AnyDataset = Annotated[
    Annotated[Dataset, BeforeValidator(named), Tag("built_in")] | Annotated[CustomDataset, Tag("own")],
    Discriminator(kind_of_part),
]
