"""Text to image: does an image show the prompt, does it look real, and how long does it take?

    python benchmarks/text_to_image.py metrics mnist --minutes 4 --seeds 0 1 2
    python benchmarks/text_to_image.py metrics fashion-mnist --minutes 12 --root DATA --allow-leak
    python benchmarks/text_to_image.py metrics duos --minutes 25
    python benchmarks/text_to_image.py speed

`metrics` trains, tests once, and prints all metrics of the test split. The minutes count from the
start of the command, so reading the data, training the evaluator and the baselines are included.
For `duos` it also prints how often both digits, both colours and their relative place are
recognised. Fashion-MNIST has 34 images in both of its splits. `speed` times 64 images, with
guidance and without.
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

from measure import combine, format_row, median

CAPTION = re.compile(r"a (\w+) (\d) (left of|above) a (\w+) (\d)")


def train_and_test(data: str, minutes: float, seeds: Sequence[int], more: dict[str, Any]) -> None:
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
            for name, baseline in run.results["baseline"]["test"].items():
                row |= {
                    f"{name} {key}": baseline[key]["value"]
                    for key in ("likeness", "prompt_accuracy")
                }
            row |= caption_accuracy(run)
        rows.append(row)
        print(f"{data}, {minutes:g} min, seed {seed}: {format_row(row)}", flush=True)
    if len(rows) > 1:
        print(
            f"{data}, {minutes:g} min, median of {len(rows)}: "
            f"{format_row(combine(rows, statistics.median))}",
            flush=True,
        )


def caption_accuracy(run: Any) -> dict[str, float]:
    """For captions like those of `duos`: how often each element is recognised."""
    task, _ = run.load()
    _, stats = run.read_predictions("test")
    decode = task.evaluator.vocabulary.decode
    prompts = [CAPTION.fullmatch(decode(row)) for row in stats["prompts"].tolist()]
    if not all(prompts):
        return {}
    shares: dict[str, float] = {}
    for column, suffix in (("read", ""), ("read_real", " of real ones")):
        read = [CAPTION.fullmatch(decode(row)) for row in stats[column].tolist()]
        for name, places in (("digits", (2, 5)), ("colours", (1, 4)), ("place", (3,))):
            correct = [
                r is not None and all(r[p] == a[p] for p in places)
                for a, r in zip(prompts, read, strict=True)
                if a
            ]
            shares[f"{name} correct{suffix}"] = float(np.mean(correct))
    return shares


def speed() -> None:
    """Time random weights: the images do not matter."""
    import torch

    from foveate import models
    from foveate.data.rng import sample_keys
    from foveate.models.model import VisionModel
    from foveate.tasks.text_to_image import TextToImage

    for size, channels in ((28, 1), (32, 3), (64, 3)):
        task = TextToImage((), words=("a", "7"), max_length=8)
        torch.manual_seed(0)
        body = task.head(models.build("patch_resnet", channels=channels, size=size))
        net = VisionModel(body, size=size, mean=[100.0] * channels, std=[60.0] * channels)
        rng = sample_keys([str(number) for number in range(64)])
        for guidance in (1.0, 2.0):
            taken = median(partial(generate, task, net, rng, guidance), 5)
            print(f"64 images of {size} px, guidance {guidance:g}: {taken:.2f} s", flush=True)


def generate(task: Any, net: Any, of: Any, guidance: float) -> None:
    from foveate.data.rng import SampleRNG

    list(task.generate(net, ["a 7"] * 64, SampleRNG(of, 0), guidance=guidance))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    trained = commands.add_parser("metrics")
    trained.add_argument("data")
    trained.add_argument("--minutes", type=float, default=4)
    trained.add_argument("--seeds", type=int, nargs="+", default=[0])
    trained.add_argument("--root", default=None)
    trained.add_argument("--allow-leak", action="store_true")
    commands.add_parser("speed")
    given = parser.parse_args()
    if given.command == "speed":
        speed()
    else:
        more = {"root": given.root, "allow_leak": given.allow_leak}
        train_and_test(
            given.data,
            given.minutes,
            given.seeds,
            {name: value for name, value in more.items() if value},
        )
