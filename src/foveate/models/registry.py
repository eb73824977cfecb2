"""The models, found by a scan of this folder: a new architecture is one new file here."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from foveate.errors import SettingError

if TYPE_CHECKING:
    from foveate.models.backbone import Backbone

Weights = Path | Literal["download"] | None


@dataclass(frozen=True)
class Recipe:
    """How a model is trained unless the user says otherwise. A start, not an optimum: --lr find measures."""

    optimizer: str
    lr: float
    half: bool = False
    """Whether bfloat16 pays on a CPU that has instructions for it: not for small maps of few channels (benchmarks/README.md)."""


PLAIN = Recipe("adamw", 1e-3)
"""For nets without normalisation, in which larger steps kill units: Adam's customary rate."""
NORMALISED = Recipe("adamw", 5e-3)
"""For nets with batch normalisation: chosen on Fashion-MNIST's validation part with `tiny_cnn` (benchmarks/README.md)."""
PRETRAINED = Recipe("adamw", 3e-4)
"""For published weights, which smaller steps adapt without breaking; customary."""
FROZEN = Recipe("adamw", 5e-3)
"""For a head alone, on features that stay as they are: nothing can be broken; customary."""

SMALL = 64
"""Up to this side in pixels the classic nets get a stem that fits small pictures, for which there are no weights."""

MOST_WEIGHTS = 10**9
"""Of one model: 4 GB, and twice that again for an optimizer. More is a mistake in size or widths."""


@dataclass(frozen=True)
class Model:
    """An architecture that can be asked for by name.

    name: on the command line; "mlp:*" means that anything may follow the colon
    summary, paper: for people
    smallest: the least side of a picture in pixels
    build: (name, channels, size, weights) -> Backbone, with random weights from torch's global generator
    published: whether there are published weights to start from
    smallest_published: the least side in pixels with them
    trained: how it is trained by default
    example: for a name with a star: one that can be built
    verify: (name) -> the model as it is under this very name, or anything else where that makes no difference; raises
        SettingError for what cannot follow the colon, before any data is read
    folder: as it stands in the name, where that says which weights it always starts from
    definition: what may stand for that folder in the name, so that the net can be built again without it
    """

    name: str
    summary: str
    paper: str
    smallest: int
    build: Callable[[str, int, int, Weights], Backbone]
    published: bool = False
    smallest_published: int = SMALL + 1
    trained: Recipe = NORMALISED
    example: str | None = None
    verify: Callable[[str], object] | None = None
    folder: str | None = None
    definition: str | None = None

    def recipe(self, *, pretrained: bool, frozen: bool = False) -> Recipe:
        """How to train it by default."""
        return FROZEN if frozen else PRETRAINED if pretrained else self.trained

    def least(self, *, weights: bool) -> int:
        """The smallest side in pixels, with published weights or without."""
        return self.smallest_published if weights else self.smallest

    def check(self, size: int, *, weights: bool) -> None:
        """Raises SettingError for a size, or for weights, that it cannot take."""
        if weights and not self.published:
            fit = ", ".join(model.name for model in all() if model.published)
            raise SettingError(
                f"there are no published weights for {self.name!r}",
                where="weights",
                remedy=f"Use one of: {fit}.",
            )
        least = self.least(weights=weights)
        if size < least:
            fit = ", ".join(
                model.name
                for model in all()
                if (model.published or not weights) and model.least(weights=weights) <= size
            )
            raise SettingError(
                f"{self.name} {'with published weights ' if weights else ''}needs pictures of at least {least} px, got {size}",
                where="size",
                remedy=f"Use --size {224 if weights else least}"
                + (f", or one of: {fit}." if fit else "."),
            )


@cache
def all() -> tuple[Model, ...]:
    """Every model, in the order of the files' names."""
    package = "foveate.models.backbones"
    modules = pkgutil.iter_modules([str(Path(__file__).parent / "backbones")])
    found = [importlib.import_module(f"{package}.{module.name}") for module in modules]
    return tuple(model for module in found for model in getattr(module, "MODELS", ()))


def names() -> list[str]:
    """A name of each model that `build` takes; where anything may follow a colon, an example, if there is one everywhere."""
    return [
        model.example or model.name
        for model in all()
        if model.example or not model.name.endswith("*")
    ]


def find(name: str) -> Model:
    """The model of that name. Raises SettingError with what there is."""
    family = f"{name.partition(':')[0]}:*" if ":" in name else name
    for model in all():
        if model.name == family:
            own = model.verify(name) if model.verify else None
            return own if isinstance(own, Model) else model
    known = [model.name for model in all()]
    near = difflib.get_close_matches(name, known, n=1)
    raise SettingError(
        f"no model is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
        where="model",
        remedy=f"Models: {', '.join(known)}.",
    )


def build(name: str, *, channels: int, size: int, weights: Weights = None) -> Backbone:
    """The named architecture for pictures of (channels, size, size). Raises SettingError if it cannot be.

    weights: None for random ones from torch's global generator; the path of published ones in a .safetensors file, or in
        a .pth file of tensors alone; or "download", the only way that leads to the network
    """
    model = find(name)
    model.check(size, weights=weights is not None)
    backbone = model.build(name, channels, size, weights)
    backbone.images = channels
    return backbone


def portable(name: str) -> str:
    """A name of the same net that needs no folder beside the weights it was trained to."""
    model = find(name)
    if model.folder is None or model.definition is None:
        return name
    return name.removesuffix(model.folder) + model.definition


def start(name: str, weights: str | None, *, frozen: bool) -> str | None:
    """What a model of that name starts from: the weights that the user names, or the folder that its own name does.

    Raises SettingError where both are given, and where random weights are to be frozen.
    """
    folder = find(name).folder
    if folder is not None and weights not in (None, folder):
        raise SettingError(
            f"{name} holds its own weights, got {weights} as well",
            where="weights",
            remedy="Leave out --pretrained and --weights.",
        )
    if frozen and weights is None and folder is None:
        raise SettingError(
            f"published weights are expected to be frozen, but {name} starts from random ones, whose features teach nothing",
            where="freeze",
            remedy="Give --pretrained, --weights FILE or --model hf:DIR.",
        )
    return folder if weights is None else weights


def refuse_if_huge(name: str, weights: int, size: int) -> None:
    """Raises SettingError for a net that no common machine holds, instead of filling its memory."""
    if weights > MOST_WEIGHTS:
        raise SettingError(
            f"{name} at {size} px would have {weights:,} weights; at most {MOST_WEIGHTS:,} are expected",
            where="model",
            remedy="Use a smaller --size, or a model whose weights do not grow with it, like quick.",
        )
