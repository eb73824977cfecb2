"""Data that cannot be split as it is: leaks are left out, rare classes are handled as one asks."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.annotations import Boxes, Label
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.split import assign, file, rare_classes
from foveate.errors import DataError

PIXELS = ArraySource(np.zeros((1, 2, 2, 1), np.uint8), 0)
SPLITS = ("train", "valid", "test")


def samples(labels, splits=None):
    splits = splits or [None] * len(labels)
    return [
        Sample(f"s{i:03}", PIXELS, Label(label), None, split)
        for i, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]


def strata_of(rows):
    return [row.target.present() for row in rows]


@settings(max_examples=40, deadline=None)
@given(
    splits=st.lists(st.sampled_from(SPLITS), min_size=60, max_size=60),
    copies=st.lists(st.integers(0, 39), min_size=60, max_size=60),
)
def test_nothing_leaks_once_leaks_are_left_out_and_test_stays_whole(splits, copies):
    # Two samples of each class that no copy touches, so that train, valid and test have them all.
    rows = samples([0, 1] * 33, [*splits, "train", "train", "valid", "valid", "test", "test"])
    keys = [*copies, *range(100, 106)]
    made = assign.assign_splits(rows, strata_of(rows), keys, classes=["a", "b"], drop_leaks=True)
    home = {}
    for row, key in zip(rows, keys, strict=True):
        own = made.splits[row.id]
        if row.split == "test":
            assert own == "test"
        if own is None:
            assert row.split in ("train", "valid")
            assert any(k == key and r.split != row.split for r, k in zip(rows, keys, strict=True))
        else:
            assert own == row.split
            assert home.setdefault(key, own) == own
    left_out = sum(own is None for own in made.splits.values())
    assert not made.leaks
    assert any("left out" in note for note in made.notes) == bool(left_out)


def test_a_valid_copy_of_a_test_image_is_left_out_and_a_train_copy_of_a_valid_image():
    rows = samples([0, 1] * 6, ["train"] * 4 + ["valid"] * 4 + ["test"] * 4)
    keys = [0, 1, 2, 3, 0, 5, 6, 7, 6, 9, 10, 11]
    made = assign.assign_splits(rows, strata_of(rows), keys, classes=["a", "b"], drop_leaks=True)
    assert [id for id, own in made.splits.items() if own is None] == ["s000", "s006"]
    assert made.notes[0].startswith("1 train image and 1 validation image are left out")


def test_a_split_file_keeps_what_is_left_out_out(tmp_path):
    rows = samples([0, 1] * 6, ["train"] * 4 + ["valid"] * 4 + ["test"] * 4)
    keys = [0, 1, 2, 3, 0, 5, 6, 7, 8, 9, 10, 11]
    made = assign.assign_splits(rows, strata_of(rows), keys, classes=["a", "b"], drop_leaks=True)
    hashes = [str(key) for key in keys]
    written = file.rows_of(rows, hashes, made)
    file.write(tmp_path / "split.csv", written)
    read = file.read(tmp_path / "split.csv")
    assert read == written
    assert read["s000"].split is None
    data = Dataset("few", "classification", ("a", "b"), rows)
    applied = file.apply(data, hashes, read, tmp_path / "split.csv")
    again = assign.assign_splits(
        applied.samples, strata_of(rows), keys, classes=["a", "b"], left_out={"s000"}
    )
    assert again.splits == made.splits
    moved = {**read, "s000": replace(read["s000"], split="train")}
    with pytest.raises(Exception, match=r"s000 \(left out -> train\)"):
        file.check_unchanged(moved, file.record(read), tmp_path / "split.csv")


def boxes(*classes):
    return Boxes(np.tile([[0, 0, 2, 2]], (len(classes), 1)), np.array(classes))


# --- rare classes


def test_every_rare_class_is_listed_at_once_with_the_ways_on():
    rows = samples([0] * 10 + [1] * 10 + [2] * 2 + [3] + [4] * 3)
    with pytest.raises(DataError) as refused:
        assign.assign_splits(rows, strata_of(rows), range(26), classes=list("abcde"))
    message = refused.value.with_command(["foveate", "train", "DATA", "--rare-classes", "drop"])
    assert "2 classes have too few images" in message
    assert "'c': 2 images (s020, s021)" in message
    assert "'d': 1 image (s022)" in message
    for how in ("train", "merge", "drop"):
        assert f"foveate train DATA --rare-classes {how}\n" in f"{message}\n"


def test_folds_do_not_offer_to_test_nothing_of_a_class():
    rows = samples([0] * 10 + [1] * 10 + [2] * 2)
    with pytest.raises(DataError) as refused:
        assign.assign_splits(rows, strata_of(rows), range(22), classes=list("abc"), fold=(0, 3))
    assert "--rare-classes drop" in str(refused.value)
    assert "--rare-classes train" not in str(refused.value)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rare_classes_in_train_leave_valid_and_test_nothing_that_train_lacks(seed):
    """Of images that hold several classes, some common and many rare, as in COCO."""
    rng = np.random.default_rng(seed)
    chance = np.geomspace(0.6, 0.01, 15)
    strata = [tuple(np.flatnonzero(rng.random(15) < chance).tolist()) or (0,) for _ in range(80)]
    rows = samples([0] * 80)
    made = assign.assign_splits(
        rows, strata, range(80), classes=[str(k) for k in range(15)], rare_in_train=True, seed=seed
    )
    held = {split: set() for split in SPLITS}
    for row, present in zip(rows, strata, strict=True):
        held[made.splits[row.id]].update(present)
    assert held["valid"] | held["test"] <= held["train"]
    counts = np.bincount([k for present in strata for k in present], minlength=15)
    rare = {k for k in range(15) if 0 < counts[k] < 3}
    assert not rare & (held["valid"] | held["test"])
    assert any("too rare to be measured" in note for note in made.notes) == bool(rare)


def dataset(labels, classes, splits=None):
    return Dataset("few", "classification", tuple(classes), samples(labels, splits))


def test_merged_rare_classes_are_one_class_at_the_end():
    handled = rare_classes.merge(dataset([0] * 5 + [1] + [2] * 5 + [3] * 2, "abcd"), 3)
    assert handled.dataset.classes == ("a", "c", "other")
    labels = [one.target.index for one in handled.dataset]
    assert labels == [0] * 5 + [2] + [1] * 5 + [2] * 2
    assert not handled.left_out
    assert "'other'" in handled.notes[0]


def test_merged_rare_classes_join_a_class_that_has_the_name():
    handled = rare_classes.merge(dataset([0] * 5 + [1] + [2] * 5, ["a", "b", "other"]), 3)
    assert handled.dataset.classes == ("a", "other")
    assert [one.target.index for one in handled.dataset] == [0] * 5 + [1] * 6


def test_dropped_rare_classes_are_gone_with_their_images_and_the_reason_of_each():
    handled = rare_classes.drop(dataset([0] * 5 + [1] + [2] * 5 + [3] * 2, "abcd"), 3)
    assert handled.dataset.classes == ("a", "c")
    assert [one.target.index for one in handled.dataset] == [0] * 5 + [1] * 5
    assert [(one.id, one.reason) for one in handled.left_out] == [
        ("s005", "its class 'b' has only 1 image"),
        ("s011", "its class 'd' has only 2 images"),
        ("s012", "its class 'd' has only 2 images"),
    ]


def test_classes_that_become_rare_are_dropped_too():
    rows = [Sample(f"{i}", PIXELS, boxes(0, 1)) for i in range(4)]
    rows += [Sample("first", PIXELS, boxes(0, 2)), Sample("second", PIXELS, boxes(2, 3))]
    rows += [Sample("third", PIXELS, boxes(2))]
    handled = rare_classes.drop(Dataset("few", "detection", tuple("abcd"), rows), 3)
    assert handled.dataset.classes == ("a", "b")
    assert {one.id for one in handled.left_out} == {"first", "second", "third"}


def test_dropping_a_rare_class_leaves_out_whole_images_and_maps_the_other_boxes():
    rows = [Sample(f"{i}", PIXELS, boxes(0, 2)) for i in range(4)]
    rows.append(Sample("rare", PIXELS, boxes(0, 1)))
    handled = rare_classes.drop(Dataset("few", "detection", ("a", "b", "c"), rows), 3)
    assert handled.dataset.classes == ("a", "c")
    assert [one.id for one in handled.left_out] == ["rare"]
    assert all(one.target.present() == (0, 1) for one in handled.dataset)


@pytest.mark.parametrize("handle", [rare_classes.merge, rare_classes.drop])
def test_nothing_changes_without_rare_classes_or_where_the_data_brings_all_splits(handle):
    data = dataset([0] * 5 + [1] * 3, "ab")
    assert handle(data, 3).dataset is data
    data = dataset([0, 1, 2] * 3, "abc", ["train"] * 3 + ["valid"] * 3 + ["test"] * 3)
    assert handle(data, 1).dataset is data


def test_a_label_without_a_name_stays_one():
    data = dataset([0] * 5 + [1] + [2] * 5 + [9] * 5, "abc")
    handled = rare_classes.drop(data, 3)
    assert [one.target.index for one in handled.dataset][-1] >= len(handled.dataset.classes)


def test_changed_masks_can_be_sent_to_other_processes():
    handled = rare_classes.merge(dataset([0] * 5 + [1, 2], "abc"), 3)
    assert pickle.loads(pickle.dumps(rare_classes._NewIndex(np.array([0, 1]), 2)))
    assert handled.dataset.classes == ("a", "other")


def test_a_split_that_leaks_leave_empty_is_made_again():
    """The valid folder is a copy of the test folder."""
    rows = samples([0, 1] * 12, ["train"] * 16 + ["valid"] * 4 + ["test"] * 4)
    keys = [*range(20), *range(16, 20)]
    made = assign.assign_splits(rows, strata_of(rows), keys, classes=["a", "b"], drop_leaks=True)
    assert [made.splits[f"s{i:03}"] for i in range(16, 20)] == [None] * 4
    assert [made.splits[f"s{i:03}"] for i in range(20, 24)] == ["test"] * 4
    assert "valid" in [made.splits[f"s{i:03}"] for i in range(16)]


def test_a_dropped_class_is_dropped_from_every_split_and_becomes_no_other():
    splits = ["train"] * 11 + ["test"] * 7
    labels = [0] * 5 + [1] * 5 + [2] + [0, 1, 2, 2, 0, 1, 1]
    handled = rare_classes.drop(dataset(labels, ["a", "other", "x"], splits), 2)
    assert handled.dataset.classes == ("a", "other")
    assert {one.id for one in handled.left_out} == {"s010", "s013", "s014"}
    assert [one.target.index for one in handled.dataset if one.split == "test"] == [0, 1, 0, 1, 1]


@pytest.mark.parametrize(("counts", "offered"), [([2], False), ([1, 1], False), ([2, 1], True)])
def test_merging_is_offered_where_it_helps(counts, offered):
    labels = [0] * 5 + [1] * 5 + [k for k, count in enumerate(counts, 2) for _ in range(count)]
    rows = samples(labels)
    with pytest.raises(DataError) as refused:
        assign.assign_splits(rows, strata_of(rows), range(len(rows)), classes=list("abcd"))
    assert ("--rare-classes merge" in str(refused.value)) == offered


def test_rare_classes_everywhere_leave_nothing_to_divide():
    rows = samples([k for k in range(10) for _ in range(2)])
    with pytest.raises(DataError, match="nothing is left for the other splits"):
        assign.assign_splits(
            rows, strata_of(rows), range(20), classes=list("abcdefghij"), rare_in_train=True
        )
