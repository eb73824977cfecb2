"""Recall and false alarms of the audit on faults planted into real datasets.

    python benchmarks/audit.py ROOT [--only copies labels boxes images speed] [--images 5000]

ROOT holds cifar10/ (a folder per class under train/ and test/), bccd/, coco128/ and nuclei/. Each
fault is planted at a known rate into a dataset that was audited before. Recall is the share of
planted samples that the check names; false alarms are samples that it names and that were neither
damaged nor named before. What it names in the dataset as published is counted separately.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from faults import (
    brighter,
    crop,
    cross_border,
    duplicate_box,
    flatten,
    half,
    jpeg,
    outside,
    self_crossing,
    shrink,
    swap,
    with_box,
    with_image,
)
from foveate import formats
from foveate.annotations import Label
from foveate.audit import audit, duplicates
from foveate.data.cache.decoding import survey
from foveate.data.dataset import ArraySource, Dataset, Sample

RATE = 0.05


def hashes_and_stats(dataset: Dataset[Any]) -> tuple[tuple[str, ...], Any]:
    surveyed = survey(dataset)
    return surveyed.hashes, surveyed.image_stats


def in_memory(dataset: Dataset[Any]) -> Dataset[Any]:
    """Decode once; the audit then runs many times."""
    samples = [replace(s, source=ArraySource(s.source.read()[None], 0)) for s in dataset]
    return replace(dataset, samples=samples)


# --- copies


def copies(name: str, dataset: Dataset[Any], seed: int = 0) -> None:
    """Add copies of RATE of the images for each change, all to one dataset."""
    rng = np.random.default_rng(seed)
    hashes, rows = hashes_and_stats(dataset)
    known = {tuple(pair) for pair in duplicates.find(hashes, rows).pairs.tolist()}
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "JPEG q50": jpeg,
        "half the size": half,
        "5% crop": lambda image: crop(image, rng),
        "brightness +20%": brighter,
    }
    count = max(1, round(RATE * len(dataset)))
    order = rng.permutation(len(dataset))
    planted: dict[tuple[int, int], str] = {}
    samples = list(dataset.samples)
    for number, (what, change) in enumerate(changes.items()):
        for row in np.resize(order, count * 4)[number * count : (number + 1) * count]:
            planted[int(row), len(samples)] = what
            samples.append(
                Sample(
                    f"copy-{len(samples)}",
                    ArraySource(change(dataset[int(row)].source.read())[None], 0),
                )
            )
    hashes, rows = hashes_and_stats(replace(dataset, samples=samples))
    began = time.perf_counter()
    clusters = duplicates.find(hashes, rows)
    took = time.perf_counter() - began
    pairs = {tuple(pair) for pair in clusters.pairs.tolist()}
    same = {pair for pair in planted if clusters.clusters[pair[0]] == clusters.clusters[pair[1]]}
    for what in changes:
        of_change = [pair for pair, change in planted.items() if change == what]
        print(
            f"{name} {what}: recall {sum(pair in same for pair in of_change) / len(of_change):.1%} "
            f"of {len(of_change)}"
        )
    # Two copies of one original, or a copy and a published copy of it, are no false alarm.
    origin = {copy: row for row, copy in planted}
    old = duplicates.components(len(samples), np.array(sorted(known), np.int64).reshape(-1, 2))
    wrong = [
        p
        for p in pairs - planted.keys()
        if old[origin.get(p[0], p[0])] != old[origin.get(p[1], p[1])]
    ]
    print(
        f"{name}: {len(known)} pairs in the dataset as published; "
        f"false alarms {len(wrong)} of {len(pairs)} pairs, "
        f"precision {1 - len(wrong) / max(1, len(pairs)):.1%}; "
        f"{len(samples):,} images in {took:.1f} s",
        flush=True,
    )


def sheet(dataset: Dataset[Any], path: Path, max_pairs: int = 60) -> int:
    """Write a contact sheet of the pairs in a dataset as published; returns their number."""
    hashes, rows = hashes_and_stats(dataset)
    pairs = duplicates.find(hashes, rows).pairs
    canvas = Image.new("RGB", (10 * 136, -(-min(max_pairs, len(pairs)) // 10) * 72 or 1), "white")
    for i, pair in enumerate(pairs[:max_pairs]):
        for j, row in enumerate(pair):
            image = dataset[int(row)].source.read()
            shown = Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).resize(
                (64, 64)
            )
            canvas.paste(shown, ((i % 10) * 136 + 66 * j, (i // 10) * 72))
    canvas.save(path)
    return len(pairs)


# --- other faults


def planted(
    name: str,
    dataset: Dataset[Any],
    check: str,
    damage: Callable[[Sample[Any]], Sample[Any] | None],
) -> None:
    """Damage RATE of the samples and count what the check names."""
    hashes, rows = hashes_and_stats(dataset)
    before = {id for f in audit(dataset, hashes, rows).findings if f.check == check for id in f.ids}
    order = np.random.default_rng(0).permutation(len(dataset))
    samples, damaged = list(dataset.samples), set()
    for row in order:
        if len(damaged) >= max(3, round(RATE * len(dataset))):
            break
        if samples[row].id not in before and (changed := damage(samples[row])) is not None:
            samples[row] = changed
            damaged.add(changed.id)
    changed_set = replace(dataset, samples=samples)
    hashes, rows = hashes_and_stats(changed_set)
    named = {
        id for f in audit(changed_set, hashes, rows).findings if f.check == check for id in f.ids
    }
    alarms = named - damaged - before
    print(
        f"{name} | {check} | {len(damaged)} | {len(named & damaged) / len(damaged):.0%} | "
        f"{len(alarms)} of {len(dataset) - len(damaged)} | {len(before)}",
        flush=True,
    )


def plant_images(name: str, dataset: Dataset[Any]) -> None:
    def blur(image: np.ndarray) -> np.ndarray:
        colour = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
        return np.array(
            Image.fromarray(colour).filter(ImageFilter.GaussianBlur(max(2, image.shape[0] / 40)))
        )

    planted(name, dataset, "blank", with_image(lambda i: np.full_like(i, 128)))
    planted(name, dataset, "blurred", with_image(blur))
    planted(name, dataset, "too dark", with_image(lambda i: i // 12))
    planted(name, dataset, "too bright", with_image(lambda i: 255 - (255 - i) // 12))
    sizes = {sample.source.read().shape for sample in dataset}
    if len(sizes) < 20:  # otherwise sizes vary too much to have outliers
        planted(name, dataset, "unusual aspect ratio", with_image(lambda i: i[: i.shape[0] // 4]))
        planted(name, dataset, "small", with_image(lambda i: i[::4, ::4]))


def files(root: Path) -> None:
    """Plant broken files into a copy of 1,000 CIFAR-10 images."""
    with tempfile.TemporaryDirectory() as place:
        chosen = [
            p
            for folder in sorted((root / "cifar10/train").iterdir())
            for p in sorted(folder.iterdir())[:100]
        ]
        for path in chosen:
            target = Path(place, "set", path.parent.name, path.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        every = sorted(Path(place, "set").rglob("*.*"))
        ways: dict[str, Callable[[Path], Any]] = {
            "cut short": lambda p: p.write_bytes(p.read_bytes()[:-200]),
            "empty": lambda p: p.write_bytes(b""),
            "not an image": lambda p: p.write_bytes(b"<html>" * 50),
            "wrong extension": lambda p: Image.open(p).save(p, "PNG"),
        }
        order = np.random.default_rng(0).permutation(len(every))
        damaged = {}
        for number, (what, way) in enumerate(ways.items()):
            for row in order[number * 10 : number * 10 + 10]:
                way(every[row])
                damaged[every[row].relative_to(Path(place, "set")).as_posix()] = what
        seen = survey(formats.read(Path(place, "set")))
        named = {
            id: f.check for f in audit(seen.dataset, seen.hashes, seen.image_stats).findings
            if f.check in ("cannot be used", "wrong extension") for id in f.ids
        }  # fmt: skip
        for what in ways:
            ids = [id for id, way in damaged.items() if way == what]
            recall = sum(id in named for id in ids) / len(ids)
            print(f"CIFAR-10, 1,000 | {what} | {len(ids)} | {recall:.0%}")
        print(f"files: false alarms {len(named.keys() - damaged.keys())}")


def labels(root: Path, count: int) -> None:
    """Change 5% of the labels of flowers and of CIFAR-10, and print which are found."""
    from foveate.experiment.audit import audit as audit_data

    for name, most in (("flowers", count), ("cifar10", count)):
        dataset = formats.read(root / name)
        rng = np.random.default_rng(0)
        train = [replace(sample, split=None) for sample in dataset if sample.split != "test"]
        chosen = [train[row] for row in np.sort(rng.permutation(len(train))[:most])]
        flipped = set(rng.permutation(len(chosen))[: round(RATE * len(chosen))].tolist())
        classes = len(dataset.classes)
        for row in sorted(flipped):
            wrong = (chosen[row].target.index + int(rng.integers(1, classes))) % classes
            chosen[row] = replace(chosen[row], target=Label(wrong))
        began = time.perf_counter()
        result = audit_data(replace(dataset, samples=chosen), deep=True)
        took = time.perf_counter() - began
        rows = {sample.id: row for row, sample in enumerate(chosen)}
        kept = [rows[sample.id] for sample in result.dataset]
        deep = result.label_errors
        assert deep is not None, "each image has one class"
        ranking = [kept[row] for row in np.argsort(-deep.margin, kind="stable")]
        ranked = len(flipped & set(ranking[: len(chosen) // 10]))
        suspects = [kept[row] for row in deep.suspects]
        named, first = set(suspects), set(suspects[:20])
        print(
            f"{name}, {len(chosen):,} labels, {len(flipped):,} changed: "
            f"{ranked / len(flipped):.1%} in the first tenth by margin; "
            f"confident learning names {len(named):,}, "
            f"recall {len(named & flipped) / len(flipped):.1%}, "
            f"precision {len(named & flipped) / max(1, len(named)):.1%}, "
            f"of the first 20 {len(first & flipped)}; {took:.0f} s",
            flush=True,
        )


def speed(root: Path) -> None:
    """Time a whole audit of 5,000 and of 60,000 images, decoding included."""
    import os

    whole = formats.read(root / "cifar10")
    some = replace(
        whole, samples=[replace(s, split=None) for s in whole.samples[:: len(whole) // 5000][:5000]]
    )
    with tempfile.TemporaryDirectory() as place:
        os.environ["FOVEATE_CACHE"] = place
        for dataset in (some, whole):
            began = time.perf_counter()
            seen = survey(dataset)
            decoded = time.perf_counter()
            duplicates.find(seen.hashes, seen.image_stats)
            searched = time.perf_counter()
            audit(seen.dataset, seen.hashes, seen.image_stats)
            print(
                f"{len(dataset):,} images: decoded in {decoded - began:.1f} s, "
                f"copies found in {searched - decoded:.1f} s, "
                f"whole audit {time.perf_counter() - searched + decoded - began:.1f} s",
                flush=True,
            )


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("root", type=Path)
    options.add_argument(
        "--only", nargs="+", default=["copies", "images", "boxes", "files", "speed", "labels"]
    )
    options.add_argument("--images", type=int, default=5000, help="of CIFAR-10")
    options.add_argument(
        "--sheet", type=Path, help="write the pairs of the published dataset as one image"
    )
    given = options.parse_args()
    root = given.root
    cifar = formats.read(root / "cifar10")
    some = cifar.samples[:: max(1, len(cifar) // given.images)][: given.images]
    cifar = replace(cifar, samples=[replace(sample, split=None) for sample in some])
    if given.sheet:
        print(f"{sheet(in_memory(cifar), given.sheet)} pairs")
    sets = {name: formats.read(root / name.lower()) for name in ("BCCD", "COCO128", "nuclei")}
    if "copies" in given.only:
        copies("CIFAR-10", in_memory(cifar))
        for name, dataset in sets.items():
            copies(name, in_memory(dataset))
    if "images" in given.only:
        print("dataset | check | planted | recall | false alarms | in the dataset as published")
        plant_images("CIFAR-10", in_memory(replace(cifar, samples=cifar.samples[:1000])))
        for name, dataset in sets.items():
            plant_images(name, in_memory(dataset))
    if "boxes" in given.only:
        for name in ("BCCD", "COCO128"):
            dataset = in_memory(sets[name])
            for check, change in {
                "box with swapped corners": swap,
                "box without area": flatten,
                "box outside its image": outside,
                "box leaves its image": cross_border,
                "tiny box": shrink,
            }.items():
                planted(name, dataset, check, with_box(change))
            planted(name, dataset, "duplicate box", duplicate_box)
        planted("COCO128", in_memory(sets["COCO128"]), "outline crosses itself", self_crossing)
    if "files" in given.only:
        files(root)
    if "speed" in given.only:
        speed(root)
    if "labels" in given.only:
        labels(root, 50_000 if given.images == 5000 else given.images)


if __name__ == "__main__":
    main()
