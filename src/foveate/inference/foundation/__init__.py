"""Foundation models: trained by others on far more pictures than anybody has at home, and used as they are.

from foveate import foundation

model = foundation.open("sam:DIR")
mask = model.set_image("x.png").click(120, 80)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foveate.errors import SettingError

if TYPE_CHECKING:
    from foveate.inference.foundation.diffusion import Diffusion
    from foveate.inference.predictor import Predictor


def open(told: str, *, classes: Sequence[str] | None = None, download: bool = False) -> Predictor:
    """The model that "clip:DIR", "sam:DIR" or "sam2:DIR" means, ready to answer as a run does.

    classes: what clip is to tell apart, in words
    download: fetch a model that is named as on the hub, and not here yet
    Raises SettingError for a folder that holds no such model, or none that can be read without running it, or a larger one than
    there is memory for.
    """
    from foveate.inference.foundation import clip, sam
    from foveate.models import model_ref
    from foveate.models.clip import Clip

    meant = model_ref.parse(told)
    if meant is None:
        families = ", ".join(f"{family}:DIR" for family in model_ref.FAMILIES)
        raise SettingError(f"one of {families} is expected, got {told!r}", where="model")
    if meant.family == "diffusion":
        raise SettingError(
            "a diffusion model makes pictures, and answers for none",
            where=told,
            remedy=f'Try: foveate generate {told} "a red square" --out DIR.',
        )
    if meant.family == "clip":
        wanted = clip.checked(classes)  # said before anything is loaded
        return clip.ZeroShot(told, Clip(model_ref.folder(meant, download=download)), wanted)
    if classes is not None:
        raise SettingError(
            f"{meant.family} finds things without naming them",
            where="classes",
            remedy="Leave them out.",
        )
    return sam.Segmenter(told, *sam.load(model_ref.folder(meant, download=download), meant.family))


def open_generator(told: str, *, download: bool = False) -> Diffusion:
    """The model that "diffusion:DIR" means, ready to make pictures as a run does. Raises SettingError for other kinds, and as `open`."""
    from foveate.inference.foundation.diffusion import Diffusion
    from foveate.models import model_ref

    meant = model_ref.parse(told)
    if meant is None or meant.family != "diffusion":
        raise SettingError(
            f"diffusion:DIR is expected, got {told!r}, which makes no pictures",
            where="model",
            remedy="Others answer for pictures: foveate predict.",
        )
    return Diffusion(meant.place, download=download)


def is_reference(told: str) -> bool:
    """Whether this names a foundation model, and not a run's folder. Raises SettingError for an unknown family."""
    from foveate.models import model_ref

    return model_ref.parse(told) is not None
