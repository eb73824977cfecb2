"""A file of decoded images holds what was added, and what is none is an error."""

import hashlib
import struct

import numpy as np
import pytest

from foveate.data.cache import file
from foveate.data.image_stats import IMAGE_STATS


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"\xff",
        b'{"name": "x"}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [Infinity, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1e999, "shape": [1, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [-1, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [99999999999, 1, 1, 1], "skipped": []}',
        b'{"name": "x", "data": "", "samples": 1, "shape": [1, 1, 1, 1], "skipped": [1]}',
    ],
)
def test_a_record_that_is_none_is_a_value_error_though_its_sum_is_right(tmp_path, record):
    path = tmp_path / "x.images"
    digest = hashlib.blake2b(record, digest_size=16).digest()
    path.write_bytes(record + struct.pack("<Q16s8s", len(record), digest, b"foveate1"))
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever words
        file.read(path)


def test_the_file_holds_what_was_added(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    image_stats = np.zeros(5, IMAGE_STATS)
    image_stats["height"] = range(5)
    hashes = rng.bytes(16 * 5)
    with (tmp_path / "x.images").open("w+b") as opened:
        writer = file.Writer(opened.fileno(), 9, 4, 3)
        writer.add(pixels[:2], hashes[:32], image_stats[:2])
        writer.add(pixels[2:], hashes[32:], image_stats[2:])
        writer.close("x", "the set", {1: "gone", 8: "ü"})
    images = file.read(tmp_path / "x.images", check_pixels=True)
    assert np.array_equal(images.pixels, pixels)
    assert (images.hashes, images.skipped) == (hashes, {1: "gone", 8: "ü"})
    assert np.array_equal(images.image_stats, image_stats)
    record = file.read_record(tmp_path / "x.images")
    assert (record.name, record.data, record.samples, record.shape) == (
        "x",
        "the set",
        9,
        (5, 4, 4, 3),
    )
