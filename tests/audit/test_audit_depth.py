"""The audit reports depth once, few grey levels, clipped values, and pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from foveate import formats
from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset, Sample
from foveate.data.image_reading import DEFAULT_READING, ImageReading
from foveate.data.images import FileSource
from foveate.experiment.audit import audit
from helpers.deep_files import at_depth, nuclei

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def findings(
    folder: Path, arrays: list[np.ndarray], reading: ImageReading = DEFAULT_READING
) -> dict[str, Finding]:
    """The findings of an audit by their checks; a 3-D array becomes pages."""
    samples = []
    for index, array in enumerate(arrays):
        path = folder / f"{index}.tif"
        first, *others = (
            PIL.Image.fromarray(page) for page in array.reshape(-1, *array.shape[-2:])
        )
        first.save(path, save_all=bool(others), append_images=others)
        samples.append(Sample(path.name, FileSource(path)))
    dataset = Dataset("set", "classification", ("a",), samples, origin=folder)
    return {one.check: one for one in audit(dataset, reading=reading).audit.findings}


def twelve_bits(seed: int) -> np.ndarray:
    """A texture of little contrast, as of a sensor of 12 bits."""
    return np.random.default_rng(seed).normal(1200, 40, (48, 48)).clip(0, 4095).astype(np.uint16)


def test_12_bits_are_one_note_and_no_fault(tmp_path: Path) -> None:
    found = findings(tmp_path, [twelve_bits(i) for i in range(20)])
    assert found["more than 8 bits"].severity == "note"
    assert len(found["more than 8 bits"].ids) == 20
    assert "(black) to" in found["more than 8 bits"].reason
    assert not {"few grey levels", "blank", "too dark", "too bright"} & found.keys()


def test_points_that_leave_few_levels_are_an_error(tmp_path: Path) -> None:
    found = findings(tmp_path, [twelve_bits(i) for i in range(20)], ImageReading(0, 65535))
    error = found["few grey levels"]
    assert error.severity == "error"
    assert len(error.ids) == 20
    assert "at least 64 of 256 grey levels, they use" in error.reason
    assert "--set black=NUMBER --set white=NUMBER" in error.remedy


def test_values_far_outside_of_the_points_are_warned_of(tmp_path: Path) -> None:
    found = findings(tmp_path, [twelve_bits(i) for i in range(5)], ImageReading(1200, 1400))
    warning = found["values outside of black and white"]
    assert warning.severity == "warning"
    assert "50%" in warning.reason or "49%" in warning.reason or "51%" in warning.reason


@pytest.mark.parametrize(
    "array",
    [
        np.eye(32, dtype=np.uint16) * 65535,  # two values
        np.full((32, 32), 700, np.uint16),
        (np.arange(1024) % 40).astype(np.uint16).reshape(32, 32),  # few values: none is lost
    ],
)
def test_images_of_few_values_lose_nothing(tmp_path: Path, array: np.ndarray) -> None:
    assert "few grey levels" not in findings(tmp_path, [array] * 3)


def test_eight_bits_among_more_are_warned_of(tmp_path: Path) -> None:
    arrays = [at_depth(nuclei(i), 8 if i == 3 else 12) for i in range(10)]
    found = findings(tmp_path, arrays)
    assert found["8 bits among more"].ids == ("3.tif",)
    assert len(found["more than 8 bits"].ids) == 9


def test_eight_bit_images_have_no_finding_of_depth(tmp_path: Path) -> None:
    found = findings(tmp_path, [nuclei(i) for i in range(5)])
    assert not {"more than 8 bits", "few grey levels", "8 bits among more"} & found.keys()


def pages(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, 16, 16), np.uint8)


def test_pages_are_reported_until_a_choice_is_made(tmp_path: Path) -> None:
    arrays = [pages(5) for _ in range(4)]
    finding = findings(tmp_path, arrays)["several pages"]
    assert finding.severity == "warning"
    assert len(finding.ids) == 4
    assert "each file has 5 pages, of which the first one is read" in finding.reason
    assert "pages=max" in finding.remedy
    for choice in ("first", "max", "bands"):
        assert "several pages" not in findings(tmp_path, arrays, ImageReading(pages=choice))


def test_different_numbers_of_pages_are_an_error(tmp_path: Path) -> None:
    finding = findings(tmp_path, [pages(5), pages(5), pages(1)])["several pages"]
    assert finding.severity == "error"
    assert "1 in 1 file, 5 in 2 files" in finding.reason
    assert finding.ids == ("0.tif", "1.tif")


def test_a_repair_keeps_what_a_png_of_8_bits_cannot_hold(tmp_path: Path) -> None:
    """A wrong extension or an orientation is a reason to encode anew only if nothing is lost."""
    data = tmp_path / "data"
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
        for index in range(4):
            image = PIL.Image.fromarray(twelve_bits(10 * index + (label == "b")))
            image.save(data / label / f"{label}{index}.tif", tiffinfo={274: 6 if index else 1})
    named_wrong = data / "a" / "a0.tif"
    PIL.Image.fromarray(twelve_bits(99)).save(named_wrong, "PNG")
    repairs = audit(formats.read(data)).write_repaired(tmp_path / "copy")
    assert repairs == []
    for path in data.rglob("*.tif"):
        copy = tmp_path / "copy" / path.relative_to(data)
        assert copy.read_bytes() == path.read_bytes()
