"""The deep audit from files to findings: planted faults are found, a second run uses the cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from foveate.annotations import Boxes, Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.experiment import deep_audit
from foveate.experiment.audit import audit
from foveate.experiment.deep_audit import MAX_PIXELS, MAX_SIZE, MIN_SIZE, size_of_features

CLASSES = ("stripes", "dots", "hills", "grain")


def image(kind: int, rng: np.random.Generator) -> np.ndarray:
    """A texture of 32 px in two muted colours."""
    rows, columns = np.indices((32, 32))
    pattern = (
        lambda: np.sin(columns * rng.uniform(0.8, 1.2) + rng.uniform(0, 6)),
        lambda: np.sin(rows * 1.1 + rng.uniform(0, 6)) * np.sin(columns * 1.1 + rng.uniform(0, 6)),
        lambda: np.asarray(
            PIL.Image.fromarray(rng.normal(0, 1, (4, 4)).astype(np.float32)).resize((32, 32), 3)
        ),
        lambda: rng.normal(0, 0.7, (32, 32)),
    )[kind]()
    share = np.clip(pattern / 2 + 0.5, 0, 1)[..., None]
    one, two = rng.integers(40, 110, 3), rng.integers(130, 200, 3)
    return (share * one + (1 - share) * two).astype(np.uint8)


def textures(count: int, seed: int = 0) -> Dataset[Label]:
    rng = np.random.default_rng(seed)
    samples = [
        Sample(f"s{row}", ArraySource(image(row % 4, rng)[None], 0), Label(row % 4))
        for row in range(count)
    ]
    return Dataset("textures", "classification", CLASSES, samples)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """In every test of this file."""


@pytest.mark.slow
def test_planted_faults_are_found_and_written_down(tmp_path, monkeypatch):
    data = textures(120)
    wrong, rng = [10, 31, 64, 97, 102, 118], np.random.default_rng(5)
    for row in wrong:
        data.samples[row] = replace(data[row], target=Label((row + rng.integers(1, 4)) % 4))
    foreign = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8) // 128 * 255
    data.samples[21] = replace(data[21], source=ArraySource(foreign[None], 0))
    result = audit(data, deep=True)
    first = np.argsort(-result.label_errors.margin)[: len(wrong)].tolist()
    assert len(set(first) & set(wrong)) >= 5
    assert result.label_errors.suspects
    assert set(result.label_errors.suspects) <= set(wrong)
    assert 21 in result.feature_space.outliers
    checks = {group.check for group in result.groups}
    assert {"label probably wrong", "outlier"} <= checks
    result.write_page(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert all(
        title in page for title in ("Most doubtful labels", "Map of the images", "label probably")
    )
    assert "representative" not in page  # the data assigns no splits
    assert result.to_json()["labels_by_margin"][0]["id"] == f"s{first[0]}"

    def fail(*_args):
        raise AssertionError("features are in the cache")

    fail.__name__ = "map_statistics"
    monkeypatch.setattr(deep_audit, "map_statistics", fail)
    again = audit(data, deep=True)
    np.testing.assert_array_equal(
        again.label_errors.probabilities, result.label_errors.probabilities
    )
    assert again.audit.findings == result.audit.findings


@pytest.mark.slow
def test_images_of_any_annotation_are_compared(tmp_path):
    """Boxes have no label to check; a test split of other textures is noticed."""
    boxes = Boxes(np.array([[4.0, 4, 20, 20]]), np.array([0]), size=(32, 32))
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            f"s{row}",
            ArraySource(image(row % 3 if row < 90 else 2 + row % 2, rng)[None], 0),
            boxes,
            split="train" if row < 90 else "test",
        )
        for row in range(140)
    ]
    data = Dataset("boxes", "detection", ("object",), samples)
    result = audit(data, deep=True)
    assert result.label_errors is None
    assert result.feature_space.comparisons["test"].two_samples.differ
    assert "splits look different" in {group.check for group in result.groups}
    result.write_page(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert "Are the splits representative?" in page
    assert "Most doubtful labels" not in page
    assert result.to_json()["findings"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
def test_few_images_are_no_error(count, tmp_path):
    result = audit(textures(count), deep=True)
    result.write_page(tmp_path / "audit.html")
    assert len(result.dataset) == count
    assert result.label_errors.suspects == []


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
def test_images_of_any_number_of_channels_have_features(channels, tmp_path):
    data = textures(24)
    samples = [
        replace(
            one, source=ArraySource(np.repeat(one.source.read()[None, ..., :1], channels, 3), 0)
        )
        for one in data
    ]
    result = audit(replace(data, samples=samples), deep=True)
    assert np.isfinite(result.feature_space.points).all()
    result.write_page(tmp_path / "audit.html")


@pytest.mark.parametrize("count", [1, 100, 5_000, 10_000, 50_000, 1_000_000])
@pytest.mark.parametrize("natural", [0, 9, 32, 128, 200, 224, 4_000])
def test_the_side_of_features_suits_image_and_budget(count, natural):
    side = size_of_features(count, natural)
    assert MIN_SIZE <= side <= MAX_SIZE
    assert side % 32 == 0
    assert side == MIN_SIZE or count * side**2 <= MAX_PIXELS
    assert side <= max(natural, MIN_SIZE)
