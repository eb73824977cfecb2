"""A repair guesses nothing, says what was before, and never leaves a rump of a dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveate.annotations import Label, Mask
from foveate.audit.repair import repair
from foveate.data.dataset import Skipped
from foveate.errors import DataError, SettingError
from helpers.planted import audited, boxed, boxes, labels, painted, spoilt


@pytest.mark.parametrize(
    "names",
    [("CD4+", "CD4-"), ("HER2+", "HER2-"), ("C", "C++"), ("A+", "A-"), ("<5", ">5"), ("a", "á")],
)
def test_names_that_differ_by_a_sign_are_two_classes(names):
    result = audited(replace(labels(), classes=names))
    assert not result.errors
    dataset, repairs = repair(result)
    assert dataset.classes == names
    assert repairs == []


@pytest.mark.parametrize("names", [("frog", "frog "), ("Frog", "frog"), ("tree frog", "treefrog")])
def test_names_that_differ_by_case_or_spaces_are_an_error_that_no_repair_guesses_away(names):
    result = audited(replace(labels(), classes=names))
    assert [one.check for one in result.errors] == ["two names for one class"]
    assert "--merge" in result.errors[0].remedy
    dataset, _ = repair(result)
    assert dataset.classes == names
    assert [s.target.index for s in dataset] == [s.target.index for s in labels()]


def test_classes_are_merged_when_told_under_the_more_frequent_name():
    data = replace(labels(90), classes=("frog ", "frog"))
    data = replace(data, samples=[replace(s, target=Label(int(i > 9))) for i, s in enumerate(data)])
    dataset, repairs = repair(audited(data), [("frog ", "frog")])
    assert dataset.classes == ("frog",)
    assert {s.target.index for s in dataset} == {0}
    assert [(one.id, one.before, one.after) for one in repairs] == [("", "frog ", "frog")]
    assert "10 images" in repairs[0].what


def test_merged_classes_of_masks_keep_their_colours():
    data = replace(painted(), colours=((1, 2, 3), (4, 5, 6), (7, 8, 9)), classes=("sky", "a", "A"))
    data = replace(
        data,
        samples=[
            replace(s, target=Mask.from_array(np.full((48, 64), 1 if i % 9 else 2)))
            for i, s in enumerate(data)
        ],
    )
    dataset, _ = repair(audited(data), [("A", "a")])
    assert (dataset.classes, dataset.colours) == (("sky", "a"), ((1, 2, 3), (4, 5, 6)))
    assert {int(s.target.pixels.read().max()) for s in dataset} == {1}


@pytest.mark.parametrize(
    "merge",
    [[("cat",)], [("cat", "cow")], [("cat", "cat")], [("cat", "dog"), ("dog", "cat")], [()]],
)
def test_names_to_merge_that_are_no_classes_are_refused(merge):
    with pytest.raises(SettingError, match="--merge"):
        repair(audited(labels()), merge)


def test_every_change_of_a_box_says_what_it_was():
    rows = [(20, 20, 5, 5), (30, 30, 90, 40), (1, 1, 1, 9), (2, 2, 9, 9), (2, 2, 9, 9)]
    target = boxes(*rows, classes=[0, 0, 0, 1, 1])
    _, repairs = repair(audited(spoilt(boxed(), 5, target=target)))
    assert [(one.what, one.before, one.after) for one in repairs] == [
        ("box 1: corners put in order", "20, 20, 5, 5", "5, 5, 20, 20"),
        ("box 2: clipped to the image", "30, 30, 90, 40", "30, 30, 64, 40"),
        ("box 3: removed, it has no area in the image", "1, 1, 1, 9", ""),
        ("box 5: removed, it duplicates box 4", "2, 2, 9, 9", ""),
    ]


@pytest.mark.parametrize("bad", [31, 90])
def test_a_repair_that_leaves_out_more_than_a_third_is_refused(bad):
    data = labels(90)
    samples = [replace(s, target=None) if i < bad else s for i, s in enumerate(data)]
    with pytest.raises(DataError) as caught:
        repair(audited(replace(data, samples=samples)))
    assert f"{bad} of 90" in caught.value.message
    assert "it has no annotation" in str(caught.value)


def test_a_repair_that_leaves_out_a_third_is_done():
    data = labels(90)
    samples = [replace(s, target=None) if i < 30 else s for i, s in enumerate(data)]
    assert len(repair(audited(replace(data, samples=samples)))[0]) == 60


def test_unreadable_images_count_as_left_out():
    skipped = tuple(Skipped(f"x{i}", "it is damaged") for i in range(60))
    with pytest.raises(DataError, match="60 of 150"):
        repair(audited(replace(labels(90), skipped=skipped)))


def test_all_rare_classes_are_named_at_once():
    names = tuple(f"class {k}" for k in range(30))
    data = replace(labels(120), classes=names)
    data = replace(data, samples=[replace(s, target=Label(i % 30)) for i, s in enumerate(data)])
    (rare,) = [one for one in audited(data).findings if one.check == "classes too rare to learn"]
    assert all(repr(name) in rare.reason for name in names)
    assert "30 of 30 classes" in rare.reason
