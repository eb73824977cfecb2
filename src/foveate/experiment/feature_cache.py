"""Features of images, computed once: a second run on the same images finds them in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foveate.data.cache import arrays
from foveate.data.cache.decoding import DecodedImages
from foveate.data.subset import Subset
from foveate.experiment.shares import Compute, compute_features
from foveate.models.model import VisionModel
from foveate.progress import Reporter


def cached_features(
    compute: Compute,
    net: VisionModel,
    state: Iterable[tuple[str, Tensor]],
    images: DecodedImages[Any],
    rows: NDArray[np.int64],
    width: int,
    reporter: Reporter,
) -> NDArray[np.float32]:
    """Compute features of some images, or find them in the cache.

    Args:
        compute: What computes them.
        net: The net.
        state: The tensors of the net that decide them, by name.
        images: All images.
        rows: Those whose features are wanted.
        width: D, the number of features.
        reporter: Receives the progress.

    Returns:
        (N, D) float32.
    """
    side = images.pixels.shape[1]
    what = f"{compute.__name__} {net.size} {side} {net.mean.device.type}"
    if images.encoding != "raw":
        what += f" {images.encoding}"
    digest = hashlib.blake2b(what.encode(), digest_size=16)
    for name, value in state:
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    digest.update(b"".join(images.hashes[row].encode() for row in rows))
    key = digest.hexdigest()
    known = arrays.load(key, (len(rows), width))
    if known is not None:
        return known
    with reporter.bar("computing features", len(rows)) as bar:
        computed = compute_features(compute, net, Subset(images.pixels, rows), bar)
    arrays.save(key, computed)
    return computed
