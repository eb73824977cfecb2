"""What two machines decode together is what one decodes: connected processes with their caches."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foveate import processes
from foveate.data.cache import decoding
from foveate.data.cache.workers import DecodeSpec
from foveate.datasets.load import load
from foveate.errors import DataError
from foveate.experiment.spread_images import SpreadImages, _decode_share, decode
from foveate.progress import NullReporter
from foveate.training import helping
from helpers.cache_files import files, noise
from helpers.ranks import on_ranks
from helpers.tars import png, tar

SIZE = 24


class Said(NullReporter):
    """Keeps what a user would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    warning = info


def facts(images: Any) -> dict[str, Any]:
    """What must not depend on who decoded the images."""
    return {
        "shape": images.pixels.shape,
        "pixels": sha256(np.ascontiguousarray(images.pixels[:])).hexdigest(),
        "hashes": images.hashes,
        "stats": sha256(images.image_stats.tobytes()).hexdigest(),
        "ids": [sample.id for sample in images.dataset],
        "skipped": sorted(one.id for one in images.dataset.skipped),
    }


def on_two_machines(dataset, caches, gigabytes, letterbox):
    """What this rank reads, or None if the images are not spread, and the messages for the user."""
    os.environ["FOVEATE_CACHE"] = str(caches[processes.rank()])
    os.environ["FOVEATE_CACHE_GB"] = str(gigabytes)
    said = Said()
    if not processes.is_main():
        images = helping.wait_and_help()
        found = images and facts(images.opened())
        processes.wait()
        return found, []
    with helping.helped():
        images = decode(dataset, DecodeSpec(SIZE, letterbox=letterbox), 0.5, said)
    processes.broadcast(images and SpreadImages.of(images))
    found = images and facts(images)
    processes.wait()
    return found, said.lines


def spread(dataset, tmp_path, gigabytes, *, letterbox=False, shared=False):
    names = ("one", "one" if shared else "two")
    (main, said), (other, _) = on_ranks(
        2,
        on_two_machines,
        dataset,
        [tmp_path / name for name in names],
        gigabytes,
        letterbox,
        local_ranks=[0, 0],
    )
    assert main == other
    return main, " ".join(said)


def alone(dataset, monkeypatch, tmp_path, *, letterbox=False, encoding="raw"):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "alone"))
    monkeypatch.setenv("FOVEATE_CACHE_GB", "1")
    return facts(
        decoding.decode(dataset, SIZE, letterbox=letterbox, encoding=encoding, max_skipped=0.5)
    )


def raw_gigabytes(count):
    return count * (16 + 1140 + SIZE * SIZE * 3) / 1e9


@pytest.mark.slow
@pytest.mark.parametrize("letterbox", [False, True])
def test_two_machines_give_the_images_and_the_skipped_ones_of_one(letterbox, tmp_path, monkeypatch):
    images = [noise(20 + seed, 30, 1 if seed < 4 else 3, seed=seed) for seed in range(9)]
    dataset = files(tmp_path / "data", images)
    for sample in dataset.samples[6:8]:
        sample.source.path.write_bytes(b"no image")
    found, said = spread(dataset, tmp_path, raw_gigabytes(5), letterbox=letterbox)
    assert found == alone(dataset, monkeypatch, tmp_path, letterbox=letterbox)
    assert found["shape"] == (7, SIZE, SIZE, 3)
    assert said == "each of the 2 machines decodes and keeps a share of the images"


@pytest.mark.slow
def test_a_share_may_have_no_readable_image(tmp_path, monkeypatch):
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(8)])
    for sample in dataset.samples[4:]:
        sample.source.path.write_bytes(b"no image")
    found, _ = spread(dataset, tmp_path, raw_gigabytes(5))
    assert found == alone(dataset, monkeypatch, tmp_path)


@pytest.mark.slow
def test_images_of_one_archive_are_cut_by_images_and_not_by_archives(tmp_path, monkeypatch):
    members = {}
    for number in range(8):
        members |= {f"{number}.png": png(number), f"{number}.cls": str(number % 2)}
    tar(tmp_path / "data" / "x-000.tar", members)
    dataset = load(tmp_path / "data")
    found, said = spread(dataset, tmp_path, 5 * (16 + 1140 + SIZE * SIZE) / 1e9)
    assert "JPEG" not in said
    assert found == alone(dataset, monkeypatch, tmp_path)
    assert all(list((tmp_path / name / "images").glob("*.images")) for name in ("one", "two"))


@pytest.mark.slow
def test_shares_that_do_not_fit_are_jpeg_which_a_message_says(tmp_path, monkeypatch):
    smooth = [
        np.asarray(Image.fromarray(noise(3, 3, 3, seed=seed)).resize((SIZE, SIZE)))
        for seed in range(16)
    ]
    dataset = files(tmp_path / "data", smooth)
    found, said = spread(dataset, tmp_path, raw_gigabytes(7.9))
    assert "stored as JPEG of quality 95 at 24 px" in said
    assert found == alone(dataset, monkeypatch, tmp_path, encoding="jpeg")


@pytest.mark.slow
def test_machines_with_one_cache_do_not_spread_the_images(tmp_path):
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(8)])
    found, said = spread(dataset, tmp_path, raw_gigabytes(5), shared=True)
    assert (found, said) == (None, "")
    assert [path.name for path in (tmp_path / "one" / "images").iterdir()] == []


@pytest.mark.slow
def test_images_are_not_spread_where_the_cache_cannot_be_written(tmp_path):
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(8)])
    (tmp_path / "one").write_text("no folder")
    assert spread(dataset, tmp_path, raw_gigabytes(5)) == (None, "")


@pytest.mark.slow
def test_images_that_one_machine_can_keep_are_not_spread(tmp_path):
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3, seed=seed) for seed in range(8)])
    assert spread(dataset, tmp_path, 1) == (None, "")


@pytest.mark.parametrize(
    ("change", "expected"),
    [(lambda path: path.write_bytes(b"x"), "has 1 bytes"), (Path.unlink, "is missing")],
)
def test_a_file_that_is_another_on_its_machine_is_an_error(change, expected, tmp_path):
    dataset = files(tmp_path / "data", [noise(SIZE, SIZE, 3)])
    (sample,) = dataset.samples
    part = [(sample, sample.source.path.stat().st_size)]
    change(sample.source.path)
    with pytest.raises(DataError, match=f"this file {expected} on the machine of rank 0") as caught:
        _decode_share(part, replace(dataset, samples=[]), DecodeSpec(SIZE), b"")
    assert str(sample.source.path) in str(caught.value)
