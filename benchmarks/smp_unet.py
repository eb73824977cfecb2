"""A U-Net of segmentation-models-pytorch on the data of `segmentation.py membranes`.

Its encoder is a resnet18, and it is trained as a forty-line script would do it: Adam at 1e-3 on
random 256 px crops with flips, binary cross-entropy, batches of 8, no validation.

    pip install -e '.[peers]'
    python benchmarks/smp_unet.py DATA --minutes 5 --folds 0 1 2 3 4 --seeds 0
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import PIL.Image
import segmentation_models_pytorch as smp
import torch

from measure import combine, format_row
from segmentation import CELL, score


def train(
    images: torch.Tensor, labels: torch.Tensor, seconds: float, seed: int
) -> tuple[torch.nn.Module, int]:
    """(N, 1, H, W) float and (N, H, W) bool -> the network and the number of crops used."""
    torch.manual_seed(seed)
    rng, used, began = np.random.default_rng(seed), 0, time.perf_counter()
    net = smp.Unet("resnet18", encoder_weights=None, in_channels=1, classes=1)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    while time.perf_counter() - began < seconds:
        crops, targets = [], []
        for _ in range(8):
            row, top, left = rng.integers(len(images)), rng.integers(257), rng.integers(257)
            flips = [axis for axis in (1, 2) if rng.random() < 0.5]
            crops.append(images[row, :, top : top + 256, left : left + 256].flip(flips))
            targets.append(labels[row, None, top : top + 256, left : left + 256].flip(flips))
        logits = net(torch.stack(crops))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.stack(targets).float()
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
        used += 8
    return net.eval(), used


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    names = sorted(
        (path.name for path in (given.data / "image").iterdir()),
        key=lambda name: int(Path(name).stem),
    )
    read = {
        folder: np.stack(
            [np.asarray(PIL.Image.open(given.data / folder / name).convert("L")) for name in names]
        )
        for folder in ("image", "label")
    }
    images = torch.from_numpy(read["image"])[:, None].float() / 255
    cells = torch.from_numpy(read["label"] > 127)
    for seed in given.seeds:
        rows = []
        for fold in given.folds:
            tested = np.arange(len(names)) % 5 == fold
            net, crops = train(images[~tested], cells[~tested], 60 * given.minutes, seed)
            with torch.no_grad():
                predicted = [net(image[None])[0, 0].numpy() > 0 for image in images[tested]]
            pairs = [
                (mask * CELL, target.numpy() * CELL)
                for mask, target in zip(predicted, cells[tested], strict=True)
            ]
            rows.append({**score(pairs), "crops": crops})
            print(f"seed {seed}, fold {fold}: {format_row(rows[-1])}", flush=True)
        print(
            f"seed {seed}, mean of {len(rows)} folds: "
            f"{format_row(combine(rows, statistics.fmean))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
