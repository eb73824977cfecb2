"""What the audit finds of faults that were planted in real sets, and how often it cries wolf.

    python benchmarks/audit.py ROOT [--only copies labels boxes pictures speed] [--pictures 5000]

ROOT holds cifar10/ (a folder per class under train/ and test/), bccd/, coco128/ and nuclei/. Each fault is planted at a known
rate into a set that was audited before: recall is the share of planted samples that the check names; false alarms are
samples that it names and that were neither spoilt nor named before. What it names in the set as published is counted apart.
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
    away,
    beyond,
    brighter,
    crop,
    doubled,
    flatten,
    half,
    jpeg,
    knotted,
    moved,
    redrawn,
    shrink,
    swap,
)
from foveate import formats
from foveate.annotations import Label
from foveate.audit import audit, duplicates
from foveate.data.cache.decoding import survey
from foveate.data.dataset import ArraySource, Dataset, Sample

RATE = 0.05


def see(dataset: Dataset[Any]) -> tuple[tuple[str, ...], Any]:
    seen = survey(dataset)
    return seen.hashes, seen.image_stats


def in_memory(dataset: Dataset[Any]) -> Dataset[Any]:
    """Decoded once; the audit is then run many times."""
    samples = [replace(s, source=ArraySource(s.source.read()[None], 0)) for s in dataset]
    return replace(dataset, samples=samples)


# --- copies


def copies(name: str, dataset: Dataset[Any], seed: int = 0) -> None:
    """Copies of RATE of the pictures by each change, all in one set."""
    rng = np.random.default_rng(seed)
    hashes, rows = see(dataset)
    known = {tuple(pair) for pair in duplicates.find(hashes, rows).pairs.tolist()}
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "JPEG q50": jpeg, "half the size": half, "5% crop": lambda image: crop(image, rng), "brightness +20%": brighter,
    }  # fmt: skip
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
    hashes, rows = see(replace(dataset, samples=samples))
    began = time.perf_counter()
    found = duplicates.find(hashes, rows)
    took = time.perf_counter() - began
    pairs = {tuple(pair) for pair in found.pairs.tolist()}
    same = {pair for pair in planted if found.clusters[pair[0]] == found.clusters[pair[1]]}
    for what in changes:
        mine = [pair for pair, kind in planted.items() if kind == what]
        print(
            f"{name} {what}: recall {sum(pair in same for pair in mine) / len(mine):.1%} of {len(mine)}"
        )
    # A pair of two copies of one original, or of a copy with a published copy of it, is no false alarm.
    origin = {copy: row for row, copy in planted}
    old = duplicates.components(len(samples), np.array(sorted(known), np.int64).reshape(-1, 2))
    wrong = [
        p
        for p in pairs - planted.keys()
        if old[origin.get(p[0], p[0])] != old[origin.get(p[1], p[1])]
    ]
    print(
        f"{name}: {len(known)} pairs in the set as published; false alarms {len(wrong)} of {len(pairs)} pairs, precision "
        f"{1 - len(wrong) / max(1, len(pairs)):.1%}; {len(samples):,} pictures in {took:.1f} s",
        flush=True,
    )


def sheet(dataset: Dataset[Any], path: Path, most: int = 60) -> int:
    """A contact sheet of the pairs in a set as published, to be looked at. Returns how many there are."""
    hashes, rows = see(dataset)
    pairs = duplicates.find(hashes, rows).pairs
    canvas = Image.new("RGB", (10 * 136, -(-min(most, len(pairs)) // 10) * 72 or 1), "white")
    for i, pair in enumerate(pairs[:most]):
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
    name: str, dataset: Dataset[Any], check: str, spoil: Callable[[Sample[Any]], Sample[Any] | None]
) -> None:
    """Spoil RATE of the samples and see what the check names."""
    hashes, rows = see(dataset)
    before = {id for f in audit(dataset, hashes, rows).findings if f.check == check for id in f.ids}
    order = np.random.default_rng(0).permutation(len(dataset))
    samples, spoilt = list(dataset.samples), set()
    for row in order:
        if len(spoilt) >= max(3, round(RATE * len(dataset))):
            break
        if samples[row].id not in before and (changed := spoil(samples[row])) is not None:
            samples[row] = changed
            spoilt.add(changed.id)
    changed_set = replace(dataset, samples=samples)
    hashes, rows = see(changed_set)
    named = {
        id for f in audit(changed_set, hashes, rows).findings if f.check == check for id in f.ids
    }
    alarms = named - spoilt - before
    print(
        f"{name} | {check} | {len(spoilt)} | {len(named & spoilt) / len(spoilt):.0%} | {len(alarms)} of "
        f"{len(dataset) - len(spoilt)} | {len(before)}",
        flush=True,
    )


def make_images(name: str, dataset: Dataset[Any]) -> None:
    def blur(image: np.ndarray) -> np.ndarray:
        colour = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
        return np.array(
            Image.fromarray(colour).filter(ImageFilter.GaussianBlur(max(2, image.shape[0] / 40)))
        )

    planted(name, dataset, "blank", redrawn(lambda i: np.full_like(i, 128)))
    planted(name, dataset, "blurred", redrawn(blur))
    planted(name, dataset, "too dark", redrawn(lambda i: i // 12))
    planted(name, dataset, "too bright", redrawn(lambda i: 255 - (255 - i) // 12))
    if len({sample.source.read().shape for sample in dataset}) < 20:  # else sizes say nothing
        planted(name, dataset, "odd shape", redrawn(lambda i: i[: i.shape[0] // 4]))
        planted(name, dataset, "small", redrawn(lambda i: i[::4, ::4]))


def files(root: Path) -> None:
    """Broken files, planted into a copy of 1,000 CIFAR-10 pictures."""
    with tempfile.TemporaryDirectory() as place:
        chosen = [
            p
            for kind in sorted((root / "cifar10/train").iterdir())
            for p in sorted(kind.iterdir())[:100]
        ]
        for path in chosen:
            target = Path(place, "set", path.parent.name, path.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        every = sorted(Path(place, "set").rglob("*.*"))
        ways: dict[str, Callable[[Path], Any]] = {
            "cut short": lambda p: p.write_bytes(p.read_bytes()[:-200]),
            "empty": lambda p: p.write_bytes(b""),
            "not a picture": lambda p: p.write_bytes(b"<html>" * 50),
            "wrong ending": lambda p: Image.open(p).save(p, "PNG"),
        }
        order = np.random.default_rng(0).permutation(len(every))
        spoilt = {}
        for number, (what, way) in enumerate(ways.items()):
            for row in order[number * 10 : number * 10 + 10]:
                way(every[row])
                spoilt[every[row].relative_to(Path(place, "set")).as_posix()] = what
        seen = survey(formats.read(Path(place, "set")))
        named = {
            id: f.check for f in audit(seen.dataset, seen.hashes, seen.image_stats).findings
            if f.check in ("cannot be used", "wrong ending") for id in f.ids
        }  # fmt: skip
        for what in ways:
            mine = [id for id, how in spoilt.items() if how == what]
            print(
                f"CIFAR-10, 1,000 | {what} | {len(mine)} | {sum(id in named for id in mine) / len(mine):.0%}"
            )
        print(f"files: false alarms {len(named.keys() - spoilt.keys())}")


def labels(root: Path, count: int) -> None:
    """5% of CIFAR-10 train labels flipped to another class; how many are in the first tenth of the list by doubt."""
    from foveate.audit.label_errors import find_label_errors
    from foveate.data.cache.decoding import decode

    dataset = formats.read(root / "cifar10")
    dataset = replace(
        dataset, samples=[replace(s, split=None) for s in dataset if s.split == "train"]
    )
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(dataset))[:count])
    flipped = set(rng.permutation(len(chosen))[: round(RATE * len(chosen))].tolist())
    samples = []
    for place, row in enumerate(chosen):
        sample = dataset[int(row)]
        shift = int(rng.integers(1, 10)) if place in flipped else 0
        samples.append(replace(sample, target=Label((sample.target.index + shift) % 10)))
    seen = decode(replace(dataset, samples=samples), 32)
    began = time.perf_counter()
    clusters = duplicates.find(seen.hashes, seen.image_stats).clusters
    deep = find_label_errors(seen, clusters)
    took = time.perf_counter() - began
    first = np.argsort(-deep.doubt, kind="stable")[: len(chosen) // 10]
    found = len(flipped & set(first.tolist()))
    named = set(deep.suspects)
    print(
        f"CIFAR-10, {len(chosen):,} labels, {len(flipped):,} flipped: {found / len(flipped):.1%} in the first tenth by doubt; "
        f"confident learning names {len(named):,}, recall {len(named & flipped) / len(flipped):.1%}, precision "
        f"{len(named & flipped) / max(1, len(named)):.1%}; {took:.0f} s",
        flush=True,
    )


def speed(root: Path) -> None:
    """A whole audit of 5,000 pictures, decoding included; and the search for copies among 60,000."""
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
                f"{len(dataset):,} pictures: decoded in {decoded - began:.1f} s, copies found in {searched - decoded:.1f} s, "
                f"whole audit {time.perf_counter() - searched + decoded - began:.1f} s",
                flush=True,
            )


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("root", type=Path)
    options.add_argument(
        "--only", nargs="+", default=["copies", "pictures", "boxes", "files", "speed", "labels"]
    )
    options.add_argument("--pictures", type=int, default=5000, help="of CIFAR-10")
    options.add_argument(
        "--sheet", type=Path, help="write the pairs of the published set as one picture"
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
    if "pictures" in given.only:
        print("set | check | planted | recall | false alarms | in the set as published")
        make_images("CIFAR-10", in_memory(replace(cifar, samples=cifar.samples[:1000])))
        for name, dataset in sets.items():
            make_images(name, in_memory(dataset))
    if "boxes" in given.only:
        for name in ("BCCD", "COCO128"):
            dataset = in_memory(sets[name])
            for check, change in {
                "box with swapped corners": swap, "box without area": flatten, "box outside its picture": away,
                "box leaves its picture": beyond, "tiny box": shrink,
            }.items():  # fmt: skip
                planted(name, dataset, check, moved(change))
            planted(name, dataset, "box drawn twice", doubled)
        planted("COCO128", in_memory(sets["COCO128"]), "outline crosses itself", knotted)
    if "files" in given.only:
        files(root)
    if "speed" in given.only:
        speed(root)
    if "labels" in given.only:
        labels(root, 50_000 if given.images == 5000 else given.images)


if __name__ == "__main__":
    main()
