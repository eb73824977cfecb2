"""Label images whose values a compression, a resampling or an export changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from foveate.annotations import IGNORE
from helpers.pairs_files import pixels, read, refused, save

SIZE = (96, 128)
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
TABLE = "name,r,g,b\nsky,0,0,0\ncar,128,0,0\ntree,0,128,0\n"
IMAGES = 4


def painted(seed: int, classes: int) -> np.ndarray:
    """Classes 1, 2, ... as two rectangles each on class 0."""
    rng = np.random.default_rng(seed)
    values = np.zeros(SIZE, np.uint8)
    for k in [*range(1, classes)] * 2:
        top, left = rng.integers(0, SIZE[0] - 30), rng.integers(0, SIZE[1] - 36)
        values[top : top + 30, left : left + 36] = k
    return values


def lay(
    root: Path, classes: int, write: Callable[[np.ndarray, Path], None], suffix: str
) -> list[np.ndarray]:
    """Save images with label images that `write` makes; return their true classes."""
    true_classes = [painted(seed, classes) for seed in range(IMAGES)]
    (root / "masks").mkdir(parents=True)
    for number, values in enumerate(true_classes):
        save(root / "images" / f"{number}.png", np.zeros((*SIZE, 3)))
        write(values, root / "masks" / f"{number}{suffix}")
    return true_classes


def agreement(data: object, true_classes: list[np.ndarray]) -> float:
    read_again = [
        np.mean(sample.target.pixels.read() == values)
        for sample, values in zip(data, true_classes, strict=True)
    ]
    return float(np.mean(read_again))


def saved(levels: object, **options: object) -> Callable[[np.ndarray, Path], None]:
    """Save the classes as these grey levels or colours."""

    def write(values: np.ndarray, path: Path) -> None:
        PIL.Image.fromarray(np.array(levels, np.uint8)[values]).save(path, **options)

    return write


@pytest.mark.parametrize("quality", [10, 40, 75, 95])
@pytest.mark.parametrize("levels", [(0, 255), (0, 127, 255), (0, 60, 120, 180)])
def test_grey_levels_survive_jpeg(tmp_path: Path, quality: int, levels: tuple[int, ...]) -> None:
    true_classes = lay(tmp_path, len(levels), saved(levels, quality=quality), ".jpg")
    data = read(tmp_path)
    assert len(data.classes) == len(levels)
    assert agreement(data, true_classes) > 0.97
    assert any("4 label images with lossy compression (such as 0.jpg)" in n for n in data.notes)
    assert not any("unlabelled" in note for note in data.notes)
    for sample in data:
        assert set(sample.target.present()) == set(np.unique(sample.target.pixels.read()))


def test_black_and_white_in_jpeg_keep_their_names(tmp_path: Path) -> None:
    lay(tmp_path, 2, saved((0, 255), quality=75), ".jpg")
    moved = sum(
        int(np.isin(np.asarray(PIL.Image.open(file)), (0, 255), invert=True).sum())
        for file in (tmp_path / "masks").iterdir()
    )
    data = read(tmp_path)
    assert data.classes == ("0", "255")
    assert f"{moved:,} of {IMAGES * SIZE[0] * SIZE[1]:,} pixels have values between" in str(
        data.notes
    )


def discs(seed: int, size: int, levels: tuple[int, int]) -> np.ndarray:
    """Two discs of one level, with an outline of another one, on 0."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    values = np.zeros((size, size), np.uint8)
    for _ in range(2):
        (row, column), radius = rng.integers(size // 5, size - size // 5, 2), size // 5
        squared = (rows - row) ** 2 + (columns - column) ** 2
        values[squared < radius**2] = levels[1]
        values[squared < (radius - size // 64) ** 2] = levels[0]
    return values


def lay_discs(root: Path, size: int, levels: tuple[int, int], **options: object) -> None:
    for number in range(IMAGES):
        save(root / "images" / f"{number}.png", np.zeros((size, size, 3)))
        mask = PIL.Image.fromarray(discs(number, size, levels))
        (root / "masks").mkdir(exist_ok=True)
        mask.save(root / "masks" / f"{number}.webp", **options)


@pytest.mark.parametrize("quality", [50, 80, 95])
@pytest.mark.parametrize("size", [48, 64, 96, 160])
def test_small_masks_in_black_and_white_survive_webp(
    tmp_path: Path, size: int, quality: int
) -> None:
    lay_discs(tmp_path, size, (255, 255), quality=quality)
    data = read(tmp_path)
    assert len(data.classes) == 2
    masks = [discs(number, size, (1, 1)) for number in range(IMAGES)]
    assert agreement(data, masks) > 0.98


@pytest.mark.parametrize("quality", [50, 80, 95])
def test_class_numbers_beside_white_outlines_in_webp_are_refused(
    tmp_path: Path, quality: int
) -> None:
    lay_discs(tmp_path, 192, (2, 255), quality=quality)
    refused(tmp_path, "so close that the compression mixes them up")


@pytest.mark.parametrize("suffix", [".webp", ".jpg"])
@pytest.mark.parametrize("in_colour", [True, False])
def test_a_table_says_that_black_and_white_are_all(
    tmp_path: Path, suffix: str, in_colour: bool
) -> None:
    """Where a third of the black is almost black, foveate asks; the table it names settles it."""
    values = np.zeros((96, 96), np.uint8)
    values[:, 64:] = 255
    values[:48, 32:64] = 4
    grey = PIL.Image.fromarray(values)
    for number in range(IMAGES):
        save(tmp_path / "images" / f"{number}.png", np.zeros((96, 96, 3)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = grey.convert("RGB") if in_colour else grey
        mask.save(tmp_path / "masks" / f"{number}{suffix}", quality=95)
    error = refused(tmp_path, "so close that the compression mixes them up")
    written = re.findall("'(.*?)'", str(error.remedy))
    data = read(tmp_path, "\n".join(written))
    assert data.classes == ("background", "object")
    assert agreement(data, [(values == 255).astype(int)] * IMAGES) > 0.98


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
@pytest.mark.parametrize("table", [None, TABLE])
def test_colours_survive_lossy_files(tmp_path: Path, suffix: str, table: str | None) -> None:
    true_classes = lay(tmp_path, 3, saved(COLOURS, quality=85), suffix)
    data = read(tmp_path, table)
    if table is None:
        true_classes = [np.array([0, 2, 1])[values] for values in true_classes]
        assert data.classes == ("#000000", "#008000", "#800000")
    else:
        assert data.classes == ("sky", "car", "tree")
    assert agreement(data, true_classes) > 0.97


def test_a_real_colour_that_the_table_lacks_stays_unknown(tmp_path: Path) -> None:
    lay(tmp_path, 3, saved(COLOURS, quality=85), ".jpg")
    data = read(tmp_path, "name,r,g,b\nsky,0,0,0\ncar,128,0,0\n")
    values = np.concatenate([sample.target.pixels.read() for sample in data])
    assert set(np.unique(values)) == {0, 1, 2}
    assert any("not in the class table" in note for note in data.notes)


@pytest.mark.parametrize("table", [None, TABLE])
def test_smoothed_edges_in_png_take_the_nearest_colour(tmp_path: Path, table: str | None) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        image = PIL.Image.fromarray(COLOURS[values])
        image.resize((SIZE[1] * 2, SIZE[0] * 2), PIL.Image.Resampling.BICUBIC).save(path)

    lay(tmp_path, 3, write, ".png")
    data = read(tmp_path, table)
    assert len(data.classes) == 3
    assert any("resampled or smoothed label images: " in note for note in data.notes)
    assert not any("not in the class table" in note for note in data.notes)
    assert all(set(sample.target.present()) <= {0, 1, 2} for sample in data)


def test_thin_lines_are_found(tmp_path: Path) -> None:
    def write(values: np.ndarray, path: Path) -> None:  # noqa: ARG001
        lines = np.zeros(SIZE, np.uint8)
        lines[:, ::17] = 255
        PIL.Image.fromarray(lines).save(path, quality=75)

    lay(tmp_path, 2, write, ".jpg")
    data = read(tmp_path)
    assert data.classes == ("0", "255")
    assert 0.04 < np.mean(data[0].target.pixels.read()) < 0.09


def test_many_classes_without_loss_are_kept(tmp_path: Path) -> None:
    """Rare classes of a large set of classes are no values that a compression made up."""
    for number in range(3):
        blocks = np.random.default_rng(number).permutation(np.arange(48) % 24 + number)
        values = np.kron(blocks.reshape(6, 8), np.ones((16, 16)))
        values[40, 3:90] = 90 + number  # a thin line
        save(tmp_path / "images" / f"{number}.png", np.zeros((*SIZE, 3)))
        save(tmp_path / "masks" / f"{number}.png", values)
    data = read(tmp_path)
    assert len(data.classes) == 29
    assert not any("resampled" in note for note in data.notes)


@pytest.mark.parametrize("table", [None, "value,name\n0,a\n1,b\n2,c\n"])
def test_class_numbers_in_jpeg_are_refused(tmp_path: Path, table: str | None) -> None:
    lay(tmp_path, 3, saved((0, 1, 2), quality=90), ".jpg")
    error = refused(tmp_path, "so close that the compression mixes them up", "PNG", table=table)
    assert error.where == tmp_path / "masks" / "0.jpg"


def test_a_colour_close_to_an_unused_one_of_the_table_is_read_as_it(tmp_path: Path) -> None:
    shifted = COLOURS + np.array([[0, 0, 0], [0, 0, 0], [2, 0, 3]], np.uint8)
    true_classes = lay(tmp_path, 3, saved(shifted), ".png")
    data = read(tmp_path, TABLE)
    assert agreement(data, true_classes) == 1
    assert any("2,128,3 is not in the class table, and is read as 0,128,0" in n for n in data.notes)


# --- bands


def test_shapes_in_the_transparency_are_read_from_there(tmp_path: Path) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        bands = np.dstack([np.full(SIZE, 200)] * 3 + [values * 255]).astype(np.uint8)
        PIL.Image.fromarray(bands, "RGBA").save(path)

    true_classes = lay(tmp_path, 2, write, ".png")
    data = read(tmp_path)
    assert data.classes == ("0", "255")
    assert agreement(data, true_classes) == 1
    assert "their shapes are in the transparency" in data.notes[0]


def test_grey_with_transparency(tmp_path: Path) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        bands = np.dstack([np.zeros(SIZE), values * 255]).astype(np.uint8)
        PIL.Image.fromarray(bands, "LA").save(path)

    true_classes = lay(tmp_path / "la", 2, write, ".png")
    assert agreement(read(tmp_path / "la"), true_classes) == 1


def test_colours_under_transparency_are_the_labels_if_they_tell_everything(tmp_path: Path) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        bands = np.dstack([COLOURS[values], (values > 0) * 255]).astype(np.uint8)
        PIL.Image.fromarray(bands, "RGBA").save(path)

    true_classes = lay(tmp_path, 3, write, ".png")
    assert agreement(read(tmp_path, TABLE), true_classes) == 1


def test_colour_and_transparency_that_contradict_are_refused(tmp_path: Path) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        alpha = np.full(SIZE, 255)
        alpha[:48] = 0
        PIL.Image.fromarray(np.dstack([COLOURS[values], alpha]).astype(np.uint8), "RGBA").save(path)

    lay(tmp_path, 3, write, ".png")
    refused(tmp_path, "#000000 is transparent in some places and opaque in others")


@pytest.mark.parametrize("grey", [True, False])
def test_one_band_of_three_is_read_as_grey(tmp_path: Path, grey: bool) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        others = values if grey else values * 0
        PIL.Image.fromarray(np.dstack([values, others, others])).save(path)

    true_classes = lay(tmp_path, 3, write, ".png")
    for table in (None, "value,name\n0,a\n1,b\n2,c\n"):
        data = read(tmp_path, table)
        assert data.classes == (("a", "b", "c") if table else ("0", "1", "2"))
        assert agreement(data, true_classes) == 1


def test_palettes_of_the_same_colours_in_another_order(tmp_path: Path) -> None:
    for number, order in enumerate(((0, 1, 2), (2, 0, 1))):
        palette = [int(band) for k in order for band in COLOURS[k]]
        values = np.array([[order.index(0), order.index(1), order.index(2)]])
        save(tmp_path / "images" / f"{number}.png", np.zeros((1, 3)))
        save(tmp_path / "masks" / f"{number}.png", values, palette=palette)
    data = read(tmp_path)
    assert data.classes == ("#000000", "#008000", "#800000")
    assert pixels(data, 0) == pixels(data, 1) == [[0, 2, 1]]
    assert "the colours are the classes, not the numbers" in data.notes[0]


def test_the_void_of_voc_is_not_looked_for_in_lossy_files(tmp_path: Path) -> None:
    lay(tmp_path, 4, saved((0, 90, 170, 255), quality=90), ".jpg")
    data = read(tmp_path)
    assert data.classes[-1] == "255"
    assert all(sample.target.pixels.read().min() > IGNORE for sample in data)


@pytest.mark.parametrize("size", [(64, 48), (85, 64)])
def test_edges_of_white_smoothed_by_resampling_are_no_classes(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        mask = PIL.Image.fromarray(values * 255).resize(size, PIL.Image.Resampling.NEAREST)
        mask.resize(SIZE[::-1], PIL.Image.Resampling.BILINEAR).save(path)

    true_classes = lay(tmp_path, 2, write, ".png")
    data = read(tmp_path)
    assert data.classes == ("0", "255")
    assert agreement(data, true_classes) > 0.97
    assert "resampled or smoothed label images" in data.notes[-1]


def test_soft_masks_are_refused(tmp_path: Path) -> None:
    def write(values: np.ndarray, path: Path) -> None:
        mask = PIL.Image.fromarray(values * 255).filter(PIL.ImageFilter.GaussianBlur(20))
        mask.save(path)

    lay(tmp_path, 2, write, ".png")
    refused(tmp_path, "that run over into each other", "255 where the soft one is above 127")


def test_thin_classes_beside_unlabelled_pixels_are_kept(tmp_path: Path) -> None:
    values = np.zeros(SIZE, np.uint8)
    for k in range(1, 5):
        values[k * 12 : k * 12 + 2] = k
    values[70:] = 255
    for number in range(IMAGES):
        save(tmp_path / "images" / f"{number}.png", np.zeros((*SIZE, 3)))
        save(tmp_path / "masks" / f"{number}.png", values)
    data = read(tmp_path)
    assert data.classes == ("0", "1", "2", "3", "4")
    assert data[0].target.present() == (0, 1, 2, 3, 4)
    assert any("255 is read as unlabelled" in note for note in data.notes)
