"""Recall of the search for copies by what was done to the copy, and its time for many images.

    python benchmarks/duplicates.py ROOT [--only SET ...] [--images 5000] [--sheets FOLDER]
    python benchmarks/duplicates.py ROOT --scale 1000000

ROOT holds the datasets of SETS. Each change is planted alone into a dataset, at 100 images at most.
Recall is the share of copies in one cluster with their original. A false alarm is a pair that is
neither planted nor reported in the dataset as published; those that are, are written as contact
sheets, to be looked at. With --scale, that many thumbnails are made of CIFAR-10's, each a blend of
two with noise, and 2,000 changed copies; time, memory and recall are printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from faults import jpeg
from foveate import formats
from foveate.audit import duplicates
from foveate.audit.duplicates.near import near_pairs
from foveate.data import image_stats

SETS = """cifar10 flowers sign_digits mnist bccd coco128 raccoon nuclei isbi2012""".split()  # noqa: SIM905
MOST = 100  # images that are copied
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def crop(share: float) -> Change:
    """Keep a share of each side, anywhere."""

    def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        kept = [round(side * share) for side in image.shape[:2]]
        top, left = (rng.integers(0, s - k + 1) for s, k in zip(image.shape, kept, strict=False))
        return image[top : top + kept[0], left : left + kept[1]]

    return change


def shift(fill: str) -> Change:
    """Move by a tenth of both sides, each in a random direction."""

    def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        by = [round(side * 0.1) * int(rng.choice([-1, 1])) for side in image.shape[:2]]
        if fill == "wrapped":
            return np.roll(image, by, (0, 1))
        pad = [(abs(by[0]),) * 2, (abs(by[1]),) * 2, (0, 0)]
        wide = np.pad(image, pad, "edge" if fill == "edge" else "constant")
        top, left = (abs(one) - one for one in by)
        return wide[top : top + image.shape[0], left : left + image.shape[1]]

    return change


CHANGES: dict[str, Change] = {
    "JPEG q50": lambda image, rng: as_jpeg(image),
    "mirrored": lambda image, rng: image[:, ::-1],
    "top to bottom": lambda image, rng: image[::-1],
    "turned 180°": lambda image, rng: np.rot90(image, 2),
    "turned 90°": lambda image, rng: np.rot90(image, int(rng.choice([1, 3]))),
    "diagonal": lambda image, rng: np.rot90(image[:, ::-1], int(rng.choice([1, 3]))),
    "inverted": lambda image, rng: 255 - image,
    "mirrored, JPEG q50": lambda image, rng: as_jpeg(image[:, ::-1]),
    "cropped 5%": crop(0.95),
    "cropped 10%": crop(0.9),
    "cropped 20%": crop(0.8),
    "shifted, black": shift("black"),
    "shifted, edge": shift("edge"),
    "shifted, wrapped": shift("wrapped"),
}


def as_jpeg(image: np.ndarray) -> np.ndarray:
    image = np.ascontiguousarray(image)
    return image if image.shape[2] not in (1, 3) else grey_too(jpeg(image.squeeze()))


def grey_too(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else image[..., None]


def recall(name: str, root: Path, count: int, sheets: Path | None) -> None:
    dataset = formats.read(root / name)
    chosen = dataset.samples[:: max(1, len(dataset) // count)][:count]
    images = [sample.source.read()[..., :3] for sample in chosen]
    unique = {image_stats.content_hash(image): image for image in map(np.ascontiguousarray, images)}
    images = list(unique.values())
    thumbs = np.array([image_stats.compute(image)["thumb"] for image in images])
    began = time.perf_counter()
    published = near_pairs(thumbs)
    took = time.perf_counter() - began
    known = duplicates.components(len(images), published.rows)
    print(
        f"\n{name}: {len(images):,} images in {took:.1f} s, {len(published.rows)} pairs as "
        f"published {dict(Counter(published.changes))}",
        flush=True,
    )
    if sheets:
        sheet(images, published.rows, published.changes, sheets / f"{name}.png")
    rows = np.random.default_rng(0).permutation(len(images))[:MOST]
    for what, change in CHANGES.items():
        rng = np.random.default_rng(1)
        copies = [np.ascontiguousarray(change(images[row], rng)) for row in rows]
        added = np.array([image_stats.compute(copy)["thumb"] for copy in copies])
        pairs = near_pairs(np.concatenate([thumbs, added])).rows
        clusters = duplicates.components(len(images) + len(rows), pairs)
        found = clusters[rows] == clusters[len(images) :]
        origin = np.concatenate([np.arange(len(images)), rows])
        wrong = sum(known[origin[a]] != known[origin[b]] for a, b in pairs.tolist())
        print(
            f"  {what:20s} recall {found.mean():4.0%} of {len(rows)}, false alarms {wrong}",
            flush=True,
        )


def sheet(images: list[np.ndarray], rows: np.ndarray, changes: tuple[str, ...], path: Path) -> None:
    """Write the first 100 pairs side by side, those of the first search last."""
    order = sorted(range(len(rows)), key=lambda number: not changes[number])[:100]
    canvas = Image.new("RGB", (8 * 150, max(1, -(-len(order) // 8)) * 84), "white")
    draw = ImageDraw.Draw(canvas)
    for place, number in enumerate(order):
        x, y = place % 8 * 150, place // 8 * 84
        for side, row in enumerate(rows[number]):
            small = Image.fromarray(images[row].squeeze()).resize((64, 64))
            canvas.paste(small.convert("RGB"), (x + 66 * side, y))
        draw.text((x, y + 66), changes[number] or "similar", "black")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)


def scale(count: int, root: Path) -> None:
    """Time the search among many thumbnails."""
    dataset = formats.read(root / "cifar10")
    base = np.array([image_stats.compute(s.source.read())["thumb"] for s in dataset.samples[::3]])
    rng = np.random.default_rng(0)
    thumbs = np.empty((count, 32, 32), np.uint8)
    for start in range(0, count, 10_000):
        some = min(10_000, count - start)
        one, two = base[rng.integers(0, len(base), (2, some))].astype(np.float32)
        share = rng.uniform(0.3, 0.7, (some, 1, 1)).astype(np.float32)
        noise = rng.normal(0, 3, one.shape).astype(np.float32)
        thumbs[start : start + some] = np.clip(share * one + (1 - share) * two + noise, 0, 255)
    copied = rng.permutation(count // 2)[:2000]
    turns: list[Change] = [
        lambda image, rng: image[:, ::-1],
        lambda image, rng: image.T,
        lambda image, rng: 255 - image,
        lambda image, rng: np.roll(image, 3, 1),
        lambda image, rng: np.asarray(Image.fromarray(image[6:, :26]).resize((32, 32))),
    ]
    for number, row in enumerate(copied):
        thumbs[count - 1 - number] = turns[number % len(turns)](thumbs[row], rng)
    wanted = {
        (int(row), count - 1 - number): number % len(turns) for number, row in enumerate(copied)
    }
    began, busy = time.perf_counter(), time.process_time()

    def report(done: int, total: int) -> None:
        seconds = time.perf_counter() - began
        print(f"  search {done + 1} of {total} begins after {seconds:.0f} s", flush=True)

    pairs = near_pairs(thumbs, report)
    found = {tuple(pair) for pair in pairs.rows.tolist()}
    shares = [
        np.mean([pair in found for pair, turn in wanted.items() if turn == number])
        for number in range(len(turns))
    ]
    print(json.dumps({
        "images": count, "seconds": round(time.perf_counter() - began),
        "cpu seconds": round(time.process_time() - busy),
        "GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
        "recall": dict(zip(("mirrored", "diagonal", "inverted", "shifted", "cropped"),
                           np.round(shares, 2).tolist(), strict=True)),
        "other pairs": len(found - wanted.keys()),
    }))  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("root", type=Path)
    options.add_argument("--only", nargs="+", default=SETS)
    options.add_argument("--images", type=int, default=5000, help="of each dataset, at most")
    options.add_argument("--sheets", type=Path, help="folder of the contact sheets")
    options.add_argument("--scale", type=int, help="thumbnails to make and search instead")
    given = options.parse_args()
    if given.scale:
        scale(given.scale, given.root)
        return
    for name in given.only:
        recall(name, given.root, given.images, given.sheets)


if __name__ == "__main__":
    main()
