"""The registry of models: a new architecture is one new file in `backbones/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from foveate.errors import SettingError
from foveate.models.catalog import entries
from foveate.models.search import SearchRange, SearchSpace
from foveate.wording import did_you_mean

if TYPE_CHECKING:
    from foveate.models.backbone import Backbone

INCLUDED: Literal["included"] = "included"
"""The weights that are installed with foveate."""
PROBE = "probe"
"""The model whose weights stay as they are, and of which only a linear layer is fitted."""
Weights = Path | Literal["download", "included"] | None


@dataclass(frozen=True)
class Recipe:
    """The default way to train a model: a starting point, not an optimum (see `--lr find`).

    Attributes:
        optimizer: Name of the optimizer.
        lr: Peak learning rate.
        bf16: Whether bfloat16 is faster on a CPU with instructions for it. It is not for small
            maps of few channels (benchmarks/README.md).
        batch_size: Images in a batch.
        images_seen: Images seen in all without epochs or minutes: few epochs of much data.
        max_epochs: Epochs at most then, of little data.
        rate_decay: Factor of the learning rate from each group of pretrained layers to the one
            before it.
        frozen_groups: Number of the first groups of pretrained layers that stay as they are.
    """

    optimizer: str
    lr: float
    bf16: bool = False
    batch_size: int = 128
    images_seen: int = 300_000
    max_epochs: int = 60
    rate_decay: float = 1.0
    frozen_groups: int = 0

    def search_space(self) -> SearchSpace:
        """What to try around it: a factor of ten to both sides of the learning rate."""
        return {
            "lr": SearchRange(self.lr / 10, self.lr * 10, log=True),
            "weight_decay": SearchRange(1e-6, 0.1, log=True),
        }


PLAIN = Recipe("adamw", 1e-3)
"""For nets without normalisation, where larger steps kill units: Adam's customary rate."""
NORMALISED = Recipe("adamw", 5e-3)
"""For nets with batch normalisation: chosen on the validation split of Fashion-MNIST with
`tiny_cnn` (benchmarks/README.md)."""
PRETRAINED = Recipe("adamw", 3e-4, batch_size=32, images_seen=30_000)
"""For fine-tuning published weights: customary."""
FROZEN = Recipe("adamw", 5e-3)
"""For a head on frozen features: customary."""

SMALL = 64
"""Up to this side in pixels the classic nets get a stem for small images, for which no published
weights exist."""

MAX_PARAMETERS = 10**9
"""Largest model: 4 GB of weights, and twice that for an optimizer. More is a mistake in the size
or the widths."""


@dataclass(frozen=True)
class Model:
    """An architecture that the user can choose by name.

    Attributes:
        name: Name on the command line; in "mlp:*" the star stands for any text.
        summary: One line of description.
        paper: Authors and year.
        min_size: Smallest side of an image in pixels.
        build: (name, channels, size, weights) -> Backbone. Random weights come from torch's
            global generator.
        has_weights: Whether published weights exist.
        min_size_pretrained: Smallest side in pixels with published weights.
        default_recipe: Default way to train it from random weights.
        pretrained_recipe: Default way to fine-tune published weights.
        dense_recipe: The same for boxes and masks, whose heads are large and start from random
            weights.
        example: For a name with a star, a name that can be built.
        resolve: name -> the model under this full name. It raises SettingError for an invalid
            text after the colon, before any data is read.
        own_weights: The weights that the model always starts from: the folder in its name, or
            "included" for those that are installed with foveate.
        config: Text that can replace this folder in the name, so that the net can be rebuilt
            without the folder.
    """

    name: str
    summary: str
    paper: str
    min_size: int
    build: Callable[[str, int, int, Weights], Backbone]
    has_weights: bool = False
    min_size_pretrained: int = SMALL + 1
    default_recipe: Recipe = NORMALISED
    pretrained_recipe: Recipe = PRETRAINED
    dense_recipe: Recipe = PRETRAINED
    example: str | None = None
    resolve: Callable[[str], Model] | None = None
    own_weights: str | None = None
    config: str | None = None

    def recipe(self, *, pretrained: bool, frozen: bool = False, dense: bool = False) -> Recipe:
        """Return the default way to train it.

        Args:
            pretrained: Whether it starts from published weights.
            frozen: Whether these stay as they are.
            dense: Whether it learns boxes or masks.
        """
        if frozen or not pretrained:
            return FROZEN if frozen else self.default_recipe
        return self.dense_recipe if dense else self.pretrained_recipe

    def smallest_size(self, *, pretrained: bool) -> int:
        """Return the smallest side in pixels, with published weights or without."""
        return self.min_size_pretrained if pretrained else self.min_size

    def check(self, size: int, *, pretrained: bool) -> None:
        """Check that the model exists with such weights and takes images of this size.

        Raises:
            SettingError: It does not; the message names models that do.
        """
        if pretrained and not self.has_weights:
            fit = ", ".join(model.name for model in all() if model.has_weights)
            raise SettingError(
                f"there are no published weights for {self.name!r}",
                where="weights",
                remedy=f"Use one of: {fit}.",
            )
        smallest = self.smallest_size(pretrained=pretrained)
        if size < smallest:
            fit = ", ".join(
                model.name
                for model in all()
                if (model.has_weights or not pretrained)
                and model.smallest_size(pretrained=pretrained) <= size
            )
            name = f"{self.name} with published weights" if pretrained else self.name
            raise SettingError(
                f"{name} needs images of at least {smallest} px, got {size}",
                where="size",
                remedy=f"Use --size {224 if pretrained else smallest}"
                + (f", or one of: {fit}." if fit else "."),
            )


@cache
def all() -> tuple[Model, ...]:
    """Return every model, in the order of the file names."""
    package = "foveate.models.backbones"
    infos = pkgutil.iter_modules([str(Path(__file__).parent / "backbones")])
    modules = [importlib.import_module(f"{package}.{info.name}") for info in infos]
    return tuple(model for module in modules for model in getattr(module, "MODELS", ()))


def list_models() -> list[str]:
    """Return one name per model that `build` takes: an example for a name with a star.

    Models without an example, whose name must contain a folder, are left out.
    """
    return [
        model.example or model.name
        for model in all()
        if model.example or not model.name.endswith("*")
    ]


def check_name(name: str) -> None:
    """Check that a model has this name, or the part before its colon, without importing torch.

    Raises:
        SettingError: There is no such model; the message lists the models.
    """
    known = [entry.name for entry in entries()]
    if _family(name) not in known:
        raise SettingError(
            f"no model is called {name!r}{did_you_mean(name, known)}",
            where="model",
            remedy=f"Models: {', '.join(known)}.",
        )


def find(name: str) -> Model:
    """Return the model of this name.

    Raises:
        SettingError: There is no such model; the message lists the models.
    """
    check_name(name)
    model = next(one for one in all() if one.name == _family(name))
    return model.resolve(name) if model.resolve else model


def _family(name: str) -> str:
    return f"{name.partition(':')[0]}:*" if ":" in name else name


def build(name: str, *, channels: int, size: int, weights: Weights = None) -> Backbone:
    """Build the backbone of this name.

    Args:
        name: Name of the model.
        channels: Channels of the images.
        size: Side of the images in pixels.
        weights: None for random weights from torch's global generator, the path of published
            weights (.safetensors, or a .pth file of tensors only), "included" for those that
            are installed, or "download", the only choice that uses the network.

    Raises:
        SettingError: The model cannot be built with these arguments.
    """
    model = find(name)
    model.check(size, pretrained=weights is not None)
    if weights == INCLUDED and model.own_weights != INCLUDED:
        fit = ", ".join(one.name for one in all() if one.own_weights == INCLUDED)
        raise SettingError(
            f"the weights of {name} are not installed with foveate",
            where="weights",
            remedy=f"Use --pretrained, which downloads them, or one of: {fit}.",
        )
    backbone = model.build(name, channels, size, weights)
    backbone.in_channels = channels
    return backbone


def self_contained_name(name: str) -> str:
    """Return a name of the same net that refers to no folder.

    A run stores this name next to its weights, which replace those of the folder.
    """
    model = find(name)
    if model.own_weights is None or model.config is None:
        return name
    return name.removesuffix(model.own_weights) + model.config


def initial_weights(name: str, weights: str | None, *, frozen: bool) -> str | None:
    """Return the weights that training starts from: the user's, or those in the model's name.

    Args:
        name: Name of the model.
        weights: The user's choice: a path, "download", or None.
        frozen: Whether the backbone is frozen.

    Raises:
        SettingError: Both are given, or random weights would be frozen.
    """
    own = find(name).own_weights
    if own is not None and weights not in (None, own):
        if (own, weights) == (INCLUDED, "download"):
            return own  # nothing has to be downloaded
        raise SettingError(
            f"{name} holds its own weights, got {weights} as well",
            where="weights",
            remedy="Leave out --pretrained and --weights.",
        )
    if frozen and weights is None and own is None:
        raise SettingError(
            f"freezing needs published weights, but {name} starts from random ones",
            where="freeze",
            remedy="Give --pretrained, --weights FILE, or a model that holds its own weights: "
            "efficientnet_lite0 or hf:DIR.",
        )
    return own if weights is None else weights


def refuse_if_huge(name: str, parameters: int, size: int) -> None:
    """Raise SettingError for a net that would fill the memory, before it is built.

    Args:
        name: Name of the model.
        parameters: Number of its parameters, about.
        size: Side of the images in pixels.
    """
    if parameters > MAX_PARAMETERS:
        raise SettingError(
            f"{name} at {size} px would have {parameters:,} weights; "
            f"at most {MAX_PARAMETERS:,} are expected",
            where="model",
            remedy="Use a smaller --size, or a model that does not grow with it, like tiny_cnn.",
        )
