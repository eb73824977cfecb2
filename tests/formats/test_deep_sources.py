"""Images of more than 8 bits within other files share the black and white of their dataset."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.annotations import Label
from foveate.data import depth
from foveate.data.dataset import Dataset, Sample
from foveate.data.image_reading import ImageReading
from foveate.errors import BadImage, DataError
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


def labelled(source) -> Dataset:
    samples = [Sample("a", source, Label(0), split="train"), Sample("b", source, Label(1))]
    return Dataset("x", "classification", ("cat", "dog"), samples)


@pytest.mark.parametrize("scaled", [False, True])
def test_an_image_in_an_archive_is_copied_byte_for_byte(tmp_path: Path, scaled: bool) -> None:
    data = labelled(member(tmp_path, VALUES))
    data = depth.with_reading(data, ImageReading(0, 4095)) if scaled else data
    formats.find_writer("csv").write(data, tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.png"))
    assert [file.read_bytes() for file in files] == [png(VALUES)] * 2


@pytest.mark.parametrize(
    ("kind", "format"), [(embedded, "csv"), (embedded, "idx"), (member, "idx")]
)
@pytest.mark.parametrize("scaled", [False, True])
def test_more_than_8_bits_are_never_lost_in_silence(
    tmp_path: Path, kind, format: str, scaled: bool
) -> None:
    data = labelled(kind(tmp_path, VALUES))
    data = depth.with_reading(data, ImageReading(0, 4095)) if scaled else data
    with pytest.raises(DataError, match=r"2 samples with more than 8 bits a channel \(it stores 8"):
        formats.find_writer(format).write(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
