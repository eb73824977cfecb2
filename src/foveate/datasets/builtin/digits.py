"""Handwritten digits, 8 x 8 pixels.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
1998; its test split, as scikit-learn contains it.
"""

from __future__ import annotations

import numpy as np

from foveate.annotations import Label
from foveate.data.dataset import ArraySource, Dataset, Sample

NAME = "digits"
SUMMARY = "1,797 handwritten digits, 8x8 grey, 10 classes; built in"


def read() -> Dataset[Label]:
    """Build 1,797 images, (8, 8, 1) uint8, 17 grey levels scaled to 0..255, without splits."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    classes = tuple(str(name) for name in digits.target_names)
    labels = [Label(index) for index in range(len(classes))]
    samples = [
        Sample(f"{index:04d}", ArraySource(rows, index), labels[target])
        for index, target in enumerate(digits.target.tolist())
    ]
    return Dataset(NAME, "classification", classes, samples, origin=NAME, hflip_safe=False)
