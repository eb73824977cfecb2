"""Few labels: training on them alone, against training on them and on proposals for the rest.

    python benchmarks/few_labels.py --labels 5 20 100 --seeds 0 1 2

Of the built-in digits 270 images are the valid split and 270 the test split, the same for all.
Of the others a few per class have labels, drawn by the seed. `inference.label.label` writes the
first run's proposals for the rest. The more confident half, or all, is added, whichever has the
lower log loss on the valid split, and a second run trains from random weights on both. All runs
take equally many steps.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HELD_OUT = 270
SHARES = (0.5, 1.0)
BATCH = 128


def digits(labels: int, seed: int) -> tuple[dict[str, list[Any]], list[Any]]:
    """Labelled samples by split, and the samples of the train split whose labels are hidden."""
    from dataclasses import replace

    import foveate as fv

    data = fv.load("digits")
    order = np.random.default_rng(0).permutation(len(data))
    samples = [replace(data.samples[row], split=None) for row in order]
    splits = {"valid": samples[:HELD_OUT], "test": samples[HELD_OUT : 2 * HELD_OUT]}
    pool = samples[2 * HELD_OUT :]
    drawn = np.random.default_rng(seed).permutation(len(pool))
    known: list[int] = []
    for k in range(len(data.classes)):
        known += [row for row in drawn if pool[row].target.index == k][:labels]
    splits["train"] = [pool[row] for row in known]
    return splits, [pool[row] for row in sorted(set(range(len(pool))) - set(known))]


def trained(splits: dict[str, list[Any]], seed: int, steps: int, out: Path) -> Any:
    from dataclasses import replace

    import foveate as fv

    samples = [replace(sample, split=split) for split, some in splits.items() for sample in some]
    per_epoch = -(-len(splits["train"]) // BATCH)
    # With so few pixels, copies occur by chance; the splits are the same for both ways.
    settings = {
        "size": 24,
        "epochs": steps / per_epoch,
        "batch_size": BATCH,
        "allow_leak": True,
        "allow_errors": True,
    }
    classes = fv.load("digits").classes
    return fv.train(
        fv.Dataset("digits", "classification", classes, samples, hflip_safe=False),
        seed=seed,
        out=out,
        **settings,
    )


def propose(run: Any, rest: Sequence[Any], folder: Path) -> list[tuple[float, Any, bool]]:
    """(confidence, sample with the proposed label, whether correct), most confident first."""
    from dataclasses import replace

    import foveate as fv
    from foveate.annotations import Label
    from foveate.inference.label import label

    (folder / "rest").mkdir()
    for number, sample in enumerate(rest):
        Image.fromarray(sample.source.read()[..., 0]).save(folder / "rest" / f"{number:04}.png")
    proposals = label(run, folder / "rest", folder / "proposed")
    read = fv.load(folder / "proposed")
    names = {sample.source.path.name: read.classes[sample.target.index] for sample in read}
    classes, proposed = run.task.classes, []
    for one in proposals:
        sample, index = rest[int(Path(one.id).stem)], run.task.classes.index(names[one.id])
        correct = index == sample.target.index
        proposed.append((one.confidence, replace(sample, target=Label(index)), correct))
    assert set(names.values()) <= set(classes)
    return sorted(proposed, key=lambda one: -one[0])


def compare(labels: int, seed: int, steps: int) -> dict[str, float]:
    splits, rest = digits(labels, seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        alone = trained(splits, seed, steps, folder / "alone")
        ranked = propose(alone, rest, folder)
        tried = []
        for share in SHARES:
            some = ranked[: round(share * len(ranked))]
            more = {**splits, "train": [*splits["train"], *(sample for _, sample, _ in some)]}
            run = trained(more, seed, steps, folder / f"both-{share}")
            precision = float(np.mean([correct for *_, correct in some]))
            tried.append((run.results["valid"]["log_loss"]["value"], share, precision, run))
        _, share, precision, both = min(tried, key=lambda one: one[0])
        return {
            "labels alone": alone.test()["accuracy"]["value"],
            "with proposals": both.test()["accuracy"]["value"],
            "share taken": share,
            "of these correct": precision,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20, 100], help="of each class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    for labels in given.labels:
        rows = []
        for seed in given.seeds:
            rows.append(compare(labels, seed, given.steps))
            row = ", ".join(f"{name} {value:.4f}" for name, value in rows[-1].items())
            print(f"{labels} per class, seed {seed}: {row}", flush=True)
        for name in rows[0]:
            values = [row[name] for row in rows]
            print(
                f"  {name}: {statistics.median(values):.4f} "
                f"({min(values):.4f} to {max(values):.4f}), n = {len(rows)}"
            )


if __name__ == "__main__":
    main()
