"""Class names that look alike are one class, in every format."""

from __future__ import annotations

import pickle
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foveate import formats
from foveate.annotations import IGNORE, Mask
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.errors import DataError
from foveate.formats._shared.recognition.class_names import unify_names
from helpers import coco_files
from helpers.format_examples import BOXED, WRITABLE, annotated, boxes, labelled, painted
from helpers.load_files import ids, lay, names, refused

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "grün") for form in ("NFC", "NFD"))
CLASSES = (DECOMPOSED, COMPOSED, "rot")

VALUES = np.tile(np.array([[0, 1, 2, IGNORE]]), (16, 6))


def two_masks() -> Dataset[Mask]:
    return annotated("semantic", [Mask.from_array(VALUES), Mask.from_array(VALUES[::-1])], CLASSES)


EXAMPLES: dict[str, Dataset[Any]] = {
    "labels": labelled([(5, 4, 1)] * 6, classes=CLASSES, splits=False),
    "boxes": annotated(
        "detection",
        [boxes((1, 2, 9, 11), (3, 4, 20, 15), classes=[0, 2]), boxes((5, 5, 8, 8), classes=[1])],
        CLASSES,
    ),
    "objects": annotated(
        "instance",
        [
            painted((1, 2, 9, 11), (12, 2, 20, 8), classes=[2, 1]),
            painted((3, 3, 7, 7), classes=[0]),
        ],
        CLASSES,
    ),
    "pixels": two_masks(),
}


def present(dataset: Dataset[Any]) -> list[set[str]]:
    return sorted(
        ({dataset.classes[k] for k in sample.target.present()} for sample in dataset), key=sorted
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_two_ways_to_write_a_name_are_one_class(example: str) -> None:
    dataset = EXAMPLES[example]
    unified = unify_names(dataset)
    assert unified.classes == (COMPOSED, "rot")
    assert len(unified.notes) == 1
    assert "'grün' is written with different characters that look the same" in unified.notes[0]
    before = [{unicodedata.normalize("NFC", name) for name in some} for some in present(dataset)]
    assert sorted(before, key=sorted) == present(unified)
    assert pickle.loads(pickle.dumps(unified[0].target)).present() == unified[0].target.present()
    assert unify_names(unified) is unified


def test_pixels_are_mapped_when_they_are_read() -> None:
    mask = unify_names(two_masks())[0].target
    assert np.array_equal(mask.pixels.read(), np.tile([[0, 0, 1, IGNORE]], (16, 6)))
    assert mask.pixels.read().dtype == np.int32
    known = replace(two_masks()[0].target, classes=(1, 2))
    sample = Sample("x", ArraySource(np.zeros((1, *BOXED), np.uint8), 0), known)
    unified = unify_names(replace(two_masks(), samples=[sample]))
    assert unified[0].target.classes == (0, 1)


def test_a_value_that_is_no_class_stays_none() -> None:
    foreign = Mask.from_array(np.full(BOXED[:2], 3))
    assert unify_names(annotated("semantic", [foreign], CLASSES))[0].target.present() == (3,)


def test_colours_of_the_first_name_stay() -> None:
    coloured = replace(two_masks(), colours=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    assert unify_names(coloured).colours == ((1, 1, 1), (3, 3, 3))


def test_a_name_alone_is_only_written_in_another_way() -> None:
    dataset = labelled([(5, 4, 1)] * 6, classes=(DECOMPOSED, "rot"), splits=False)
    unified = unify_names(dataset)
    assert unified.classes == (COMPOSED, "rot")
    assert unified.samples is dataset.samples
    assert unified.notes == ()


@pytest.mark.parametrize("classes", [("a", "A"), ("a b", "a  b", "a b "), ("ü", "u"), ("²", "2")])
def test_other_differences_stay(classes: tuple[str, ...]) -> None:
    dataset = labelled([(5, 4, 1)] * 6, classes=classes)
    assert unify_names(dataset) is dataset


@WRITABLE
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_format_reads_one_class(
    format: formats.WritableFormat, example: str, tmp_path: Path
) -> None:
    try:
        format.write(EXAMPLES[example], tmp_path / "data")
    except DataError:
        return  # it stores another task
    data = formats.read(tmp_path / "data")
    assert set(data.classes) == {COMPOSED, "rot"}
    assert present(data) == present(unify_names(EXAMPLES[example]))
    assert any("they are one class" in note for note in data.notes)


def test_a_list_of_classes_may_be_written_in_the_other_way(tmp_path: Path) -> None:
    lay(tmp_path, f"{DECOMPOSED}/1.png", f"{COMPOSED}/2.png", "rot/3.png", "gelb/4.png")
    for listed in (COMPOSED, DECOMPOSED):
        (tmp_path / "classes.txt").write_text(f"rot\n{listed}\ngelb\n", encoding="utf-8")
        data = formats.read(tmp_path)
        assert data.classes == ("rot", COMPOSED, "gelb")
        assert len(ids(data)) == 4
        assert sorted(names(data)) == ["gelb", COMPOSED, COMPOSED, "rot"]


def test_one_name_in_two_ways_is_not_two_classes(tmp_path: Path) -> None:
    lay(tmp_path, f"{DECOMPOSED}/1.png", f"{COMPOSED}/2.png")
    refused(tmp_path, "two classes or more are expected, found one")


@pytest.mark.parametrize("folders", [("train", "valid"), ("batch 1", "batch 2")])
def test_coco_files_with_the_same_categories_written_in_two_ways_agree(
    tmp_path: Path, folders: tuple[str, str]
) -> None:
    for folder, name in zip(folders, (COMPOSED, DECOMPOSED), strict=True):
        categories = [coco_files.category(1, name), coco_files.category(2, "rot")]
        content = coco_files.document(coco_files.make_object(), categories=categories)
        files = {f"{folder}/x.json": content, f"{folder}/a.png": coco_files.IMAGE}
        coco_files.lay(tmp_path, files)
    data = formats.read(tmp_path)
    assert data.classes == (COMPOSED, "rot")
    assert present(data) == [{COMPOSED}] * 2
    (note,) = data.notes
    assert "they are one class" in note


def test_the_supercategory_of_all_may_be_written_in_the_other_way(tmp_path: Path) -> None:
    """Roboflow adds a category above all others; it is no class."""
    names = ((0, COMPOSED, "none"), (1, "rot", DECOMPOSED), (2, "blau", DECOMPOSED))
    categories = [{"id": id, "name": name, "supercategory": above} for id, name, above in names]
    coco_files.usual(tmp_path, coco_files.document(coco_files.make_object(), categories=categories))
    assert formats.read(tmp_path).classes == ("rot", "blau")


def test_splits_with_the_same_class_written_in_two_ways_agree(tmp_path: Path) -> None:
    for split, name in (("train", DECOMPOSED), ("test", COMPOSED)):
        lay(tmp_path, f"{split}/{name}/1.png", f"{split}/rot/2.png")
    (note,) = formats.read(tmp_path).notes
    assert "they are one class" in note
