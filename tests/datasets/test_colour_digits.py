"""The built-in digits in colour: the same each time, visible, and no scan in two splits."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

import foveate as fv
from foveate.datasets.builtin import colour_digits, scenes


def test_the_dataset_holds_what_it_says():
    data = fv.load("colour-digits")
    assert (data.name, data.task, data.hflip_safe) == ("colour-digits", "classification", False)
    assert {
        split: len(data.subset(split)) for split in colour_digits.SPLITS
    } == colour_digits.SPLITS
    assert data[0].source.read().shape == (32, 32, 3)
    counts = np.bincount([sample.target.index for sample in data], minlength=10)
    assert counts.min() > 0.8 * counts.mean()


def test_an_image_is_a_function_of_its_id():
    ids = [f"valid/{i:04d}" for i in range(20)]
    images, labels = colour_digits.draw(ids)
    again, labels_again = colour_digits.draw(ids[7:9])
    assert np.array_equal(images[7:9], again)
    assert np.array_equal(labels[7:9], labels_again)


def test_a_digit_is_of_its_class_and_stands_out():
    """Upright, centred and large, its ink is the scan that it was drawn from."""
    scan = np.array(scenes.scans()["test"][4][:1])

    class Still:
        def uniform(self, count):
            return np.full((1, count), 0.5)

    placed = colour_digits._placed(scan, Still())[0]
    rows, columns = np.nonzero(placed > 0.5)
    assert 10 < np.ptp(rows) < 26
    assert 6 < np.ptp(columns) < 26
    small = placed.reshape(8, 4, 8, 4).mean((1, 3))
    assert np.corrcoef(small.ravel(), scan[0].ravel())[0, 1] > 0.6
    images, _ = colour_digits.draw([f"train/{i:04d}" for i in range(200)])
    assert np.median(images.astype(float).std((1, 2)).max(1)) > 25


def test_its_pixels_alone_say_little():
    """The reason for this dataset: a nearest neighbour fails where a convolutional net succeeds."""
    train, labels = colour_digits.draw([f"train/{i:04d}" for i in range(1500)])
    valid, valid_labels = colour_digits.draw([f"valid/{i:04d}" for i in range(300)])
    nearest = KNeighborsClassifier(1).fit(train.reshape(1500, -1), labels)
    assert nearest.score(valid.reshape(300, -1), valid_labels) < 0.4
