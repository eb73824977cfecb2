"""For each task a small made-up dataset that can be learnt in seconds."""

from __future__ import annotations

import numpy as np

from foveate.annotations import IGNORE, Boxes, Captions, Instances, Label, Mask
from foveate.data.dataset import ArraySource, Dataset, Sample


def toy_dataset(task: str, count: int, rng: np.random.Generator) -> Dataset:
    """The toy dataset of a task. A task without an entry here fails its contract."""
    return TOY_DATASETS[task](count, rng)


def classification(count: int, rng: np.random.Generator) -> Dataset:
    """16 x 16 grey noise with a bright square in one of four quarters."""
    pixels = rng.integers(0, 60, (count, 16, 16, 1), dtype=np.uint8)
    quarters = np.arange(count) % 4
    for image, quarter in zip(pixels, quarters, strict=True):
        top, left = 8 * (quarter // 2), 8 * (quarter % 2)
        image[top + 1 : top + 7, left + 1 : left + 7] += 150
    classes = ("top left", "top right", "bottom left", "bottom right")
    return dataset(pixels, [Label(int(quarter)) for quarter in quarters], "classification", classes)


def detection(count: int, rng: np.random.Generator) -> Dataset:
    """32 x 32 grey noise with a bright square and a dark bar, each left out now and then."""
    pixels, targets = noise(count, rng), []
    for row, image in enumerate(pixels):
        corners, classes = [], []
        for k, (height, width, value) in enumerate(((8, 8, 240), (14, 6, 0))):
            if row % 5 == 3 + k:
                continue
            left, top = place(row, k, rng)
            image[top : top + height, left : left + width] = value
            corners.append((left, top, left + width, top + height))
            classes.append(k)
        targets.append(Boxes(np.array(corners, float), np.array(classes, np.int64), size=(32, 32)))
    return dataset(pixels, targets, "detection", ("square", "bar"))


def semantic(count: int, rng: np.random.Generator) -> Dataset:
    """32 x 32 grey noise with a bright square, a dark bar, and an unlabelled corner."""
    pixels, targets = noise(count, rng), []
    for row, image in enumerate(pixels):
        values = np.zeros((32, 32), np.int32)
        for k, (height, width, value) in enumerate(((10, 10, 240), (14, 8, 0))):
            left, top = place(row, k, rng)
            image[top : top + height, left : left + width] = value
            values[top : top + height, left : left + width] = 1 + k
        values[-2:, -2:] = IGNORE
        targets.append(Mask.from_array(values))
    return dataset(pixels, targets, "semantic", ("ground", "square", "bar"))


def instance(count: int, rng: np.random.Generator) -> Dataset:
    """32 x 32 grey noise with a bright square and dark bars, two of which touch now and then."""
    pixels, targets = noise(count, rng), []
    for row, image in enumerate(pixels):
        ids, classes = np.zeros((32, 32), np.int32), []
        for k, (height, width, value) in enumerate(((10, 10, 240), (12, 8, 0))):
            if row % 5 == 3 + k:
                continue
            left, top = place(row, k, rng)
            image[top : top + height, left : left + width] = value
            classes.append(k)
            ids[top : top + height, left : left + width] = len(classes)
        boxes = Boxes(np.zeros((len(classes), 4)), np.array(classes, np.int64))
        targets.append(Instances.from_label_map(ids, boxes))
    return dataset(pixels, targets, "instance", ("square", "bar"))


def promptable(count: int, rng: np.random.Generator) -> Dataset:
    """32 x 32 grey noise with a framed bright square, and a dark bar in two separate pieces."""
    pixels, targets = noise(count, rng), []
    for row, image in enumerate(pixels):
        ids = np.zeros((32, 32), np.int32)
        left, top = 16 * (row % 2) + int(rng.choice((1, 4))), int(rng.choice((1, 9, 17)))
        image[top : top + 11, left : left + 11] = 0
        image[top + 3 : top + 8, left + 3 : left + 8] = 240
        ids[top : top + 11, left : left + 11] = 1
        left, top = 16 * (1 - row % 2) + int(rng.choice((1, 5))), int(rng.choice((1, 9, 15)))
        for piece in (top, top + 8):
            image[piece : piece + 6, left : left + 8] = 30
            ids[piece : piece + 6, left : left + 8] = 2
        targets.append(Instances.from_label_map(ids, Boxes(np.zeros((2, 4)), np.arange(2))))
    return dataset(pixels, targets, "promptable", ("square", "bar"))


def text_to_image(count: int, rng: np.random.Generator) -> Dataset:
    """8 x 8 grey images, dark above and bright below or the other way round."""
    pixels, targets = rng.integers(20, 50, (count, 8, 8, 1), dtype=np.uint8), []
    for row, image in enumerate(pixels):
        below = row % 2
        edge = int(rng.integers(3, 6))
        image[edge:] += 180 * below
        image[:edge] += 180 * (1 - below)
        texts = ("light below", "dark above") if below else ("light above", "dark below")
        targets.append(Captions(texts))
    return dataset(pixels, targets, "text_to_image", ())


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(90, 130, (count, 32, 32, 1), dtype=np.uint8)


def place(row: int, k: int, rng: np.random.Generator) -> tuple[int, int]:
    """Left and top of the k-th object, in the left or the right half."""
    return 16 * (k ^ (row % 2)) + int(rng.choice((1, 5))), int(rng.choice((1, 9, 17)))


def dataset(pixels: np.ndarray, targets: list, task: str, classes: tuple[str, ...]) -> Dataset:
    samples = [
        Sample(f"example-{row}", ArraySource(pixels, row), target)
        for row, target in enumerate(targets)
    ]
    return Dataset("examples", task, classes, samples)


TOY_DATASETS = {
    "classification": classification,
    "detection": detection,
    "semantic": semantic,
    "instance": instance,
    "promptable": promptable,
    "text_to_image": text_to_image,
}
