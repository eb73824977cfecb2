"""Foundation models: published models, used without training.

Example:
    from foveate.inference import foundation

    model = foundation.open("sam:DIR")
    mask = model.set_image("x.png").click(120, 80)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foveate.errors import SettingError

if TYPE_CHECKING:
    from foveate.inference.foundation.diffusion import StableDiffusion
    from foveate.inference.predictor import Predictor


def open(name: str, *, classes: Sequence[str] | None = None, download: bool = False) -> Predictor:
    """Open a model that predicts from images, as a run does.

    Args:
        name: "clip:DIR", "sam:DIR" or "sam2:DIR".
        classes: Names of the classes, for clip only.
        download: Whether to download a model from the hub.

    Raises:
        SettingError: There is no such model, it cannot be read without running its code, or it
            does not fit into memory.
    """
    from foveate.inference.foundation import clip, sam
    from foveate.models import model_ref
    from foveate.models.clip import Clip

    ref = model_ref.parse(name)
    if ref is None:
        families = ", ".join(f"{family}:DIR" for family in model_ref.FAMILIES)
        raise SettingError(f"one of {families} is expected, got {name!r}", where="model")
    if ref.family == "diffusion":
        raise SettingError(
            "a diffusion model generates images; it predicts nothing from them",
            where=name,
            remedy=f'Try: foveate generate {name} "a red square" --out DIR.',
        )
    if ref.family == "clip":
        names = clip.check_classes(classes)  # before anything is loaded
        return clip.ClipPredictor(name, Clip(model_ref.find_folder(ref, download=download)), names)
    if classes is not None:
        raise SettingError(
            f"{ref.family} finds objects without naming them",
            where="classes",
            remedy="Leave them out.",
        )
    folder = model_ref.find_folder(ref, download=download)
    return sam.SamPredictor(name, *sam.load(folder, ref.family))


def open_generator(name: str, *, download: bool = False) -> StableDiffusion:
    """Open a model that generates images, as a run does.

    Args:
        name: "diffusion:DIR".
        download: Whether to download the model from the hub.

    Raises:
        SettingError: The model is of another family, or see `open`.
    """
    from foveate.inference.foundation.diffusion import StableDiffusion
    from foveate.models import model_ref

    ref = model_ref.parse(name)
    if ref is None or ref.family != "diffusion":
        raise SettingError(
            f"diffusion:DIR is expected, got {name!r}, which generates no images",
            where="model",
            remedy="Other models predict from images: foveate predict.",
        )
    return StableDiffusion(ref.location, download=download)


def is_reference(name: str) -> bool:
    """Return whether a name refers to a foundation model instead of a run's folder.

    Raises:
        SettingError: There is no such family.
    """
    from foveate.models import model_ref

    return model_ref.parse(name) is not None
