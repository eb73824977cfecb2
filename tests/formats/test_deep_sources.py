"""Images of more than 8 bits within other files share the black and white of their dataset."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate.data import depth
from foveate.data.image_reading import ImageReading
from foveate.errors import BadImage
from foveate.formats.labelme.shapes import EmbeddedSource
from foveate.formats.webdataset.shards import Member, ShardSource

VALUES = (np.arange(64).reshape(8, 8) * 60).astype(np.uint16)


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def embedded(folder: Path, values: np.ndarray) -> EmbeddedSource:
    path = folder / "x.json"
    path.write_text(json.dumps({"imageData": base64.b64encode(png(values)).decode()}))
    return EmbeddedSource(path)


def member(folder: Path, values: np.ndarray) -> ShardSource:
    data = png(values)
    (folder / "x.tar").write_bytes(b"head" + data)
    return ShardSource(folder / "x.tar", Member("x.png", 4, len(data)))


@pytest.mark.parametrize("kind", [embedded, member])
def test_they_are_measured_and_read_in_the_same_way(tmp_path: Path, kind) -> None:
    source = kind(tmp_path, VALUES)
    with pytest.raises(BadImage, match="got at most 3,780"):
        source.read()
    pixels = source.deep_pixels()
    assert np.array_equal(pixels.values[..., 0], VALUES)
    image = depth._with_reading(source, ImageReading(0, 4095)).read()
    assert np.array_equal(image[..., 0], np.rint(VALUES * (255 / 4095)))
    assert kind(tmp_path, VALUES.astype(np.uint8)).deep_pixels() is None
