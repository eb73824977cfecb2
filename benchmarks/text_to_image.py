"""Pictures from words: do they show what was asked, do they look real, and how long does one take.

    python benchmarks/text_to_image.py figures mnist --minutes 4 --seeds 0 1 2
    python benchmarks/text_to_image.py figures fashion-mnist --minutes 12 --root DATA --allow-leak
    python benchmarks/text_to_image.py figures duos --minutes 25
    python benchmarks/text_to_image.py speed

`figures` trains, tests once, and tells all figures of the test part; the minutes count from the start of the command, so reading the data,
teaching the referee and the baselines are in them. Of `duos` it also tells how often both digits, both colours and the place of one to
the other are read as they were asked for. Fashion-MNIST has 34 pictures in both of its parts. `speed` times 64 pictures, with guidance and without.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from measure import median, over, told

CAPTION = re.compile(r"a (\w+) (\d) (left of|above) a (\w+) (\d)")


def compute_metrics(data: str, minutes: float, seeds: Sequence[int], more: dict[str, Any]) -> None:
    import foveate as fv

    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            run = fv.train(
                data,
                task="text_to_image",
                out=Path(folder) / "run",
                minutes=minutes,
                seed=seed,
                **more,
            )
            row: dict[str, Any] = {"seconds": time.perf_counter() - began}
            row |= {name: metric["value"] for name, metric in run.test().items()}
            row |= {"guidance": run.load()[0].guidance, "epochs": run.results["epochs"]}
            for name, theirs in run.results["baseline"]["test"].items():
                row |= {
                    f"{name} {key}": theirs[key]["value"] for key in ("likeness", "prompt_accuracy")
                }
            row |= splits_of(run)
        rows.append(row)
        print(f"{data}, {minutes:g} min, seed {seed}: {told(row)}", flush=True)
    if len(rows) > 1:
        print(
            f"{data}, {minutes:g} min, median of {len(rows)}: {told(over(rows, statistics.median))}",
            flush=True,
        )


def splits_of(run: Any) -> dict[str, float]:
    """Of captions like those of `duos`: how often each part of what is said is read, in made pictures and in real ones."""
    task, _ = run.load()
    _, stats = run.read_predictions("test")
    tell = task.referee.vocabulary.tell
    asked = [CAPTION.fullmatch(tell(row)) for row in stats["told"].tolist()]
    if not all(asked):
        return {}
    found: dict[str, float] = {}
    for column, suffix in (("read", ""), ("read_real", " of real ones")):
        read = [CAPTION.fullmatch(tell(row)) for row in stats[column].tolist()]
        for name, places in (("digits", (2, 5)), ("colours", (1, 4)), ("place", (3,))):
            right = [
                r is not None and all(r[p] == a[p] for p in places)
                for a, r in zip(asked, read, strict=True)
                if a
            ]
            found[f"{name} right{suffix}"] = float(np.mean(right))
    return found


def speed() -> None:
    """Random weights: what is made does not matter."""
    import torch

    from foveate import models
    from foveate.data.rng import keys
    from foveate.models.model import VisionModel
    from foveate.tasks.text_to_image import TextToImage

    for size, channels in ((28, 1), (32, 3), (64, 3)):
        task = TextToImage((), words=("a", "7"), longest=8)
        torch.manual_seed(0)
        body = task.head(models.build("patch_resnet", channels=channels, size=size))
        net = VisionModel(body, size=size, mean=[100.0] * channels, std=[60.0] * channels)
        rng = keys([str(number) for number in range(64)])
        for guidance in (1.0, 2.0):
            taken = median(partial(made, task, net, rng, guidance), 5)
            print(f"64 pictures of {size} px, guidance {guidance:g}: {taken:.2f} s", flush=True)


def made(task: Any, net: Any, of: Any, guidance: float) -> None:
    from foveate.data.rng import SampleRNG

    list(task.generate(net, ["a 7"] * 64, SampleRNG(of, 0), guidance=guidance))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("figures")
    asked.add_argument("data")
    asked.add_argument("--minutes", type=float, default=4)
    asked.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked.add_argument("--root", default=None)
    asked.add_argument("--allow-leak", action="store_true")
    commands.add_parser("speed")
    given = parser.parse_args()
    if given.command == "speed":
        speed()
    else:
        more = {"root": given.root, "allow_leak": given.allow_leak}
        compute_metrics(
            given.data,
            given.minutes,
            given.seeds,
            {name: value for name, value in more.items() if value},
        )
