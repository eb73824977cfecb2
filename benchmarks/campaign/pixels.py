"""Pixels given to predict in any form: taken right, or refused; never another prediction."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from lab import Lab, check_polite, require
from materials import set_up
from PIL import Image
from runner import Attack


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _tensor(pixels: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(pixels.copy())


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "PIL": Image.fromarray,
    "PIL with alpha": lambda p: Image.fromarray(p).convert("RGBA"),
    "float32 in 0..1": lambda p: p.astype(np.float32) / 255,
    "float64 in 0..1": lambda p: p / 255.0,
    "float32 in 0..255": lambda p: p.astype(np.float32),
    "int64": lambda p: p.astype(np.int64),
    "uint16": lambda p: p.astype(np.uint16),
    "uint16, scaled": lambda p: p.astype(np.uint16) * 257,
    "bool": lambda p: p > 127,
    "channels first": lambda p: np.ascontiguousarray(p.transpose(2, 0, 1)),
    "float, channels first": lambda p: p.transpose(2, 0, 1).astype(np.float32) / 255,
    "tensor": _tensor,
    "tensor, channels first": lambda p: _tensor(p.transpose(2, 0, 1)),
    "tensor of floats": lambda p: _tensor(p.transpose(2, 0, 1) / np.float32(255)),
    "bytes": _png,
    "file": lambda p: io.BytesIO(_png(p)),
    "batch of one": lambda p: p[None],
    "list": lambda p: p.tolist(),
    "alpha": lambda p: np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]),
    "reversed view": lambda p: p[::-1][::-1],
    "read-only": lambda p: np.frombuffer(p.tobytes(), np.uint8).reshape(p.shape),
    "big-endian": lambda p: p.astype(">u2"),
    "with nan": lambda p: np.where(p > 200, np.nan, p / 255.0),
    "grey": lambda p: p[..., 0],
    "empty": lambda p: p[:0],
    "None": lambda p: None,
    "text": lambda p: "no such file.png",
}  # fmt: skip
EQUIVALENT_GREY = {"grey", "bool"}
"""Not the same image: they may be taken, and only must not crash."""


def pixels(lab: Lab, number: int) -> None:
    task = lab.choice(("classification", "semantic", "detection"))
    set_up(lab, task, "trained")
    names = list(FORMS)
    form = names[number % len(names)]
    size = tuple(int(v) for v in lab.rng.integers(8, 40, 2))
    image = lab.rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    if lab.rng.random() < 0.3:
        image //= 255  # black, with a few ones: floats in 0..1 look alike
    lab.note(f"{task}, {form}, {size}")

    def predict() -> None:
        import foveate as fv

        given = FORMS[form](image)
        run = fv.Run.open("run")
        print(json.dumps([run.predict(image), run.predict(given)], default=fv.Prediction.to_dict))

    result = lab.run("predict()", function=predict)
    check_polite(result)
    if result.code == 0 and form not in EQUIVALENT_GREY:
        expected, found = json.loads(result.out)
        found = found[0] if isinstance(found, list) and form == "batch of one" else found
        near = json.dumps(rounded(expected)) == json.dumps(rounded(found))
        require(near, f"another prediction in silence: {found!s:.200} instead of {expected!s:.200}")


def rounded(value: Any) -> Any:
    """Numbers to four digits: a float image may differ in the last bit."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


ATTACKS = [
    Attack(
        "pixels-forms",
        "an image in any form gives the prediction of the same pixels in uint8, or a refusal",
        f"{len(FORMS)} forms (PIL, floats, tensors, channels first, bytes, alpha, NaN, ...)",
        pixels,
        most=400,
    ),
]
