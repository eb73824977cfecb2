"""Copies are found whatever simple change was made to them; look-alikes are no copies."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from scipy import fft

from foveate.annotations import Label
from foveate.audit import LEAK, duplicates
from foveate.audit.duplicates import alignment, neighbours, signatures
from foveate.data import image_stats
from foveate.data.dataset import ArraySource, Dataset, Sample
from helpers.planted import audited

COUNT, PLANTED = 80, 20
# Named like digits, the images could not be mirrored without changing their class.
NAMES = ("cat", "dog")


def scene(seed: int) -> np.ndarray:
    """A unique image without symmetry, 160 x 160 pixels: smooth hills of colour with grain."""
    rng = np.random.default_rng(seed)
    coarse = PIL.Image.fromarray(rng.integers(30, 226, (10, 10, 3), np.uint8)).resize((160, 160), 3)
    grain = rng.integers(-6, 7, (160, 160, 3))
    return np.clip(np.asarray(coarse).astype(int) + grain, 0, 255).astype(np.uint8)


SCENES = [scene(seed) for seed in range(COUNT)]


def crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four fifths of each side, anywhere."""
    top, left = rng.integers(0, 33, 2)
    return image[top : top + 128, left : left + 128]


def shift(image: np.ndarray, rng: np.random.Generator, fill: str) -> np.ndarray:
    """A tenth of each side in any direction; the space left is filled."""
    down, across = rng.choice([0, 16, 32], 2)
    if fill == "wrapped":
        return np.roll(image, (down - 16, across - 16), (0, 1))
    padding = {"black": {"constant_values": 0}, "white": {"constant_values": 255}}
    if fill == "edge":
        wide = np.pad(image, ((16, 16), (16, 16), (0, 0)), "edge")
    else:
        wide = np.pad(image, ((16, 16), (16, 16), (0, 0)), **padding[fill])
    return wide[down : down + 160, across : across + 160]


CHANGES = {
    "mirrored": lambda image, rng: image[:, ::-1],
    "mirrored top to bottom": lambda image, rng: image[::-1],
    "turned by 180°": lambda image, rng: np.rot90(image, 2),
    "turned by 90°": lambda image, rng: np.rot90(image, rng.choice([1, 3])),
    "mirrored along a diagonal": lambda image, rng: np.rot90(image[:, ::-1], rng.choice([1, 3])),
    "inverted": lambda image, rng: 255 - image,
    "mirrored and inverted": lambda image, rng: 255 - image[:, ::-1],
    "cropped": crop,
    "shifted": lambda image, rng: shift(image, rng, rng.choice(["black", "white", "edge"])),
}


def rows_of(images: list[np.ndarray]) -> tuple[list[str], np.ndarray]:
    images = [np.ascontiguousarray(image) for image in images]
    stats = np.array([image_stats.compute(image) for image in images])
    return [image_stats.content_hash(image) for image in images], stats


def search(images: list[np.ndarray], **given) -> duplicates.DuplicateClusters:
    return duplicates.find(*rows_of(images), **given)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_named_and_nothing_else_is(change):
    rng = np.random.default_rng(0)
    copies = [CHANGES[change](image, rng) for image in SCENES[:PLANTED]]
    found = search([*SCENES, *copies])
    true = {(row, COUNT + row) for row in range(PLANTED)}
    pairs = dict(zip(map(tuple, found.pairs.tolist()), found.changes, strict=True))
    assert pairs.keys() <= true
    assert len(pairs) >= 0.95 * PLANTED
    # A shift by nothing, and a crop in the middle of a shift, have other names.
    named = sum(name == change for name in pairs.values())
    assert named >= 0.8 * len(pairs)
    for one, two in pairs:
        assert found.clusters[one] == found.clusters[two]


@pytest.mark.parametrize("fill", ["black", "white", "edge", "wrapped"])
def test_shifts_are_found_whatever_fills_the_space(fill):
    rng = np.random.default_rng(1)
    copies = [shift(image, rng, fill) for image in SCENES[:PLANTED]]
    found = {tuple(pair) for pair in search([*SCENES, *copies]).pairs.tolist()}
    assert found <= {(row, COUNT + row) for row in range(PLANTED)}
    assert len(found) >= 0.95 * PLANTED


def test_all_eight_orientations_of_an_image_are_one_cluster():
    turned = [np.rot90(side, k) for side in (SCENES[0], SCENES[0][:, ::-1]) for k in range(4)]
    found = search([*SCENES[1:], *turned])
    assert len(set(found.clusters[COUNT - 1 :].tolist())) == 1
    assert len(set(found.clusters.tolist())) == COUNT


def test_look_alikes_are_no_copies():
    """Strokes that differ by a little noise of their own, as handwritten ones do."""
    rng = np.random.default_rng(0)
    strokes = []
    for _ in range(300):
        image = np.zeros((28, 28, 1), np.uint8)
        for row in range(4, 24):
            left = int(12 + rng.integers(0, 3) + (row - 14) * 0.1)
            image[row, left : left + 3] = rng.integers(150, 256, 3)[:, None]
        strokes.append(image)
    assert len(search(strokes).pairs) == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images_have_no_copies(count):
    found = (
        search(SCENES[:count])
        if count
        else duplicates.find([], np.zeros(0, image_stats.IMAGE_STATS))
    )
    assert found.pairs.shape == (0, 2)
    assert found.changes == ()
    assert found.clusters.tolist() == list(range(count))


def test_images_without_structure_are_compared_by_hash_only():
    blank = [np.full((40, 40, 3), level, np.uint8) for level in (10, 10, 90)]
    found = search([*blank, *SCENES[:5]])
    assert found.pairs.tolist() == [[0, 1]]
    assert found.changes == ("",)


def test_equal_images_among_many_are_found_fast():
    """Thousands of thumbnails that are nearly equal fill one cell, which is cut."""
    rng = np.random.default_rng(0)
    points = np.tile(rng.normal(size=24), (20_000, 1)) + rng.normal(0, 1e-6, (20_000, 24))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    index = neighbours.Index(points)
    rows, cosines = index.nearest(points, np.arange(len(points)), 3)
    assert np.diff(index._starts).max() <= neighbours._MAX_PER_CELL
    assert (cosines > 0.999).all()
    assert (rows != np.arange(len(points))[:, None]).all()


def dataset(
    labels: list[int], images: list[np.ndarray], names: tuple[str, ...], **given
) -> Dataset:
    splits = given.pop("splits", [None] * len(images))
    samples = [
        Sample(
            f"s{i}", ArraySource(np.ascontiguousarray(image)[None], 0), Label(label), None, split
        )
        for i, (image, label, split) in enumerate(zip(images, labels, splits, strict=True))
    ]
    return Dataset("made", "classification", names, samples, **given)


def findings(data: Dataset) -> dict[str, str]:
    checks = (LEAK, "near duplicate", "duplicate with another label")
    return {f.check: f.reason for f in audited(data).findings if f.check in checks}


def test_a_mirrored_copy_across_splits_is_a_leak_that_says_why():
    images = [*SCENES, SCENES[3][:, ::-1]]
    labels = [i % 2 for i in range(COUNT)] + [1]
    splits = ["train"] * 60 + ["test"] * (len(images) - 60)
    assert findings(dataset(labels, images, NAMES, splits=splits)) == {
        LEAK: "nearly the same image, mirrored, lies in train and test, so a score would measure "
        "memory"
    }
    within = dataset(labels, images, NAMES)
    assert findings(within) == {"near duplicate": "nearly the same image, mirrored, 2 times"}


@pytest.mark.parametrize(
    ("names", "hflip_safe", "found"),
    [
        (("6", "9"), None, False),
        (("turn left", "turn right"), None, False),
        (NAMES, False, False),
        (NAMES, None, True),
        (("6", "9"), True, True),
    ],
)
def test_a_turned_image_of_another_class_is_a_copy_only_if_turning_keeps_the_class(
    names, hflip_safe, found
):
    images = [*SCENES, np.rot90(SCENES[4], 2), SCENES[7][:, ::-1]]
    labels = [i % 2 for i in range(COUNT)] + [1, 1]
    data = dataset(labels, images, names, hflip_safe=hflip_safe)
    findings = audited(data).findings
    copies = {f.ids for f in findings if f.check == "near duplicate"}
    other = {f.ids for f in findings if f.check == "duplicate with another label"}
    assert ("s7", f"s{COUNT + 1}") in copies  # of one class: a copy in any case
    assert (("s4", f"s{COUNT}") in copies) == found
    assert bool(other) == found


def test_an_inverted_image_of_another_class_is_a_copy_of_digits_too():
    images = [*SCENES, 255 - SCENES[4]]
    data = dataset([i % 2 for i in range(COUNT)] + [1], images, ("6", "9"))
    assert "duplicate with another label" in findings(data)


def test_a_split_keeps_mirrored_copies_together(tmp_path):
    from foveate.experiment.split import write_split
    from foveate.progress import NullReporter
    from foveate.settings import Settings

    images = [*SCENES, *(image[:, ::-1] for image in SCENES)]
    data = dataset([i % 2 for i in range(COUNT)] * 2, images, NAMES)
    write_split(data, tmp_path / "split.csv", NullReporter(), Settings(data="made"))
    lines = (tmp_path / "split.csv").read_text().splitlines()[1:]
    split_of = {
        line.split(",")[0]: next(s for s in ("train", "valid", "test") if s in line)
        for line in lines
    }
    assert all(split_of[f"s{i}"] == split_of[f"s{COUNT + i}"] for i in range(COUNT))


# --- the pieces


def test_frequencies_are_those_of_scipy():
    rng = np.random.default_rng(0)
    thumbs = rng.integers(0, 256, (5, 32, 32), dtype=np.uint8)
    small = thumbs.reshape(5, 16, 2, 16, 2).mean((2, 4))
    expected = fft.dctn(small, axes=(1, 2), norm="ortho")[:, :5, :5].reshape(5, -1)
    expected[:, 0] = 0
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = signatures.spectra(thumbs, [signatures.WHOLE])[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("orientation", range(8))
@pytest.mark.parametrize("inverted", [False, True])
def test_an_orientation_is_known_by_the_signs_of_the_frequencies(orientation, inverted):
    rng = np.random.default_rng(0)
    thumbs = rng.integers(0, 256, (50, 32, 32), dtype=np.uint8)
    turned = signatures.turn(thumbs, np.full(50, orientation))
    turned = 255 - turned if inverted else turned
    ones, twos = (signatures.spectra(t, [signatures.WHOLE])[:, 0] for t in (turned, thumbs))
    np.testing.assert_allclose(signatures.magnitudes(ones), signatures.magnitudes(twos), atol=1e-4)
    found, cosines = signatures.orient(ones, twos)
    assert (found == orientation).all()
    np.testing.assert_allclose(cosines, -1 if inverted else 1, atol=1e-4)


def test_the_words_of_an_orientation_are_those_of_numpy():
    thumb = np.arange(1024).reshape(32, 32).astype(np.uint8)
    expected = {
        "mirrored": [thumb[:, ::-1]],
        "mirrored top to bottom": [thumb[::-1]],
        "turned by 180°": [np.rot90(thumb, 2)],
        "turned by 90°": [np.rot90(thumb), np.rot90(thumb, 3)],
        "mirrored along a diagonal": [thumb.T, np.rot90(thumb, 2).T],
    }
    for number, words in enumerate(signatures.ORIENTATIONS[1:], 1):
        turned = signatures.turn(thumb[None], np.array([number]))[0]
        assert any((turned == one).all() for one in expected[words])


@pytest.mark.parametrize("count", [1, 2, 12])
def test_nearest_neighbours_are_nearly_those_of_a_full_comparison(count):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 24)).astype(np.float32) * np.linspace(
        2, 0.2, 24, dtype=np.float32
    )
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    rows, cosines = neighbours.Index(points).nearest(points, np.arange(4000), count, 10)
    every = points @ points.T
    np.fill_diagonal(every, -2)
    best = np.argsort(-every, axis=1)[:, :count]
    np.testing.assert_allclose(np.take_along_axis(every, rows, 1), cosines, atol=1e-5)
    shared = [len(set(a) & set(b)) for a, b in zip(rows.tolist(), best.tolist(), strict=True)]
    assert np.mean(shared) > 0.85 * count


def test_a_copy_of_a_point_is_always_its_nearest_neighbour():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3000, 24)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    both = np.concatenate([points, points])
    rows, _ = neighbours.Index(both).nearest(both, np.arange(6000))
    assert (rows[:, 0] == np.roll(np.arange(6000), 3000)).all()


@pytest.mark.parametrize("by", [(8, -8), (0, 4), (-10, 0)])
def test_shifted_thumbnails_align_where_both_show_the_same(by):
    rng = np.random.default_rng(0)
    wide = np.asarray(
        PIL.Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8)).resize((400, 400), 3)
    )
    down, across = (40 + 4 * step for step in by)  # 320 pixels are 80 steps

    def thumb(top: int, left: int) -> np.ndarray:
        return wide[top : top + 320, left : left + 320].reshape(32, 10, 32, 10).mean((1, 3))

    ones, twos = thumb(40, 40).astype(np.uint8)[None], thumb(down, across).astype(np.uint8)[None]
    # The moves by what the search for windows says of the centre, (0.75, 0.125).
    windows = np.array([[(0.75, 0.125 + step / 80)] for step in by], np.float32)
    at = np.array([alignment.SHIFTED.nearest(side, (0.75, 0.125)) for side in windows])
    assert alignment.align(ones, twos, alignment.SHIFTED, at)[0] < 0.03
    assert alignment.align(ones, twos, alignment.SLIGHTLY_CROPPED)[0] > 0.1


def test_the_order_of_images_does_not_change_what_is_found():
    rng = np.random.default_rng(2)
    images = [*SCENES, *(crop(image, rng) for image in SCENES[:10])]
    order = rng.permutation(len(images))
    straight = {frozenset(pair) for pair in search(images).pairs.tolist()}
    mixed = {
        frozenset(order[list(pair)].tolist()) for pair in search([images[i] for i in order]).pairs
    }
    assert straight == mixed
    assert search(images).changes == search(images).changes
