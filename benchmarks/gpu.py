"""What foveate does on a GPU: every task, and images a second beside a plain PyTorch loop.

    python benchmarks/gpu.py [--device cuda] [--cifar10 FOLDER] [--seconds 10]

1. Each task is trained on built-in data, stopped by Ctrl-C, resumed, tested, and predicts.
2. Nets at 32, 224 and 640 px: foveate's steps, with images from memory augmented on the device,
   beside a plain loop over one batch that lies on the device already, which is its limit for this
   net in this precision. With `--set compile=true` on both sides too.
3. With --cifar10, a folder with train/ and test/: `airbench` for one minute, and its test accuracy.
   Its paper needs 2.6 s of an A100 for 94.0% on the original files (Jordan, 2024).

It takes at most ten minutes. It was not run on a GPU yet; `--device cpu --seconds 1` shows that it
works.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

TASKS = {
    "classification": "digits",
    "detection": "scenes",
    "semantic": "scenes",
    "instance": "scenes",
    "promptable": "scenes",
    "text_to_image": "digits",
}
NETS = (("airbench", 32, 1024), ("efficientnet_lite0", 224, 128), ("resnet18", 640, 32))
"""Model, side in pixels, images in a batch."""
IMAGES, CLASSES = 4096, 10


def foveate(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run(
        [sys.executable, "-m", "foveate", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def check_task(task: str, device: str, folder: Path) -> str:
    """Train, stop, resume, test and predict; what happened in one line."""
    run, began = folder / task, time.monotonic()
    words = ["train", TASKS[task], "--task", task, "--epochs", "1", "--device", device]
    process = subprocess.Popen(
        [sys.executable, "-m", "foveate", *words, "--out", str(run), "--set", "save_seconds=0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not (run / "last.safetensors").exists():
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    stopped = process.wait()
    commands: list[list[str | Path]] = [["train", "--resume", run], ["test", run]]
    if task not in ("promptable", "text_to_image"):
        from PIL import Image

        image = folder / f"{task}.png"
        Image.new("RGB", (64, 64)).save(image)
        commands.append(["predict", run, image, "--device", device])
    for command in commands:
        done = foveate(*command)
        if done.returncode:
            return f"{task}: {command[0]} has failed: {done.stderr[-300:]}"
    hardware = json.loads((run / "results.json").read_text(encoding="utf-8"))["hardware"]
    how = "stopped and resumed" if stopped == 130 else f"not stopped (exit code {stopped})"
    return f"{task}: {how}, tested and used in {time.monotonic() - began:.0f} s on {hardware}"


def images_per_second(net: tuple[str, int, int], device: Any, seconds: float) -> str:
    """The speed of foveate's steps and of a plain loop, in turns."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from foveate import models
    from foveate.annotations import Label
    from foveate.data.augment.images import default_policy
    from foveate.data.batches import Batches
    from foveate.data.prefetch import prefetched
    from foveate.models.model import VisionModel
    from foveate.tasks.classification import Classification
    from foveate.training.device import autocast, fastest_precision
    from foveate.training.finite import FiniteCheck
    from foveate.training.fit import AHEAD, READ_EVERY, computes_at_once
    from foveate.training.loop import steps
    from foveate.training.optim import optimizer

    name, size, batch = net
    classes = tuple(f"class {number}" for number in range(CLASSES))
    task, count = Classification(classes), max(batch, IMAGES * 32 * 32 // size**2)
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    labels = [Label(row % CLASSES) for row in range(count)]
    precision = fastest_precision(device, on_cpu=False)
    amp = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    backbone = models.build(name, channels=3, size=size)
    made = VisionModel(task.head(backbone), size=size, mean=[128.0] * 3, std=[64.0] * 3)
    model = made.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    built = optimizer("sgd", model, lr=1e-3, weight_decay=1e-4)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    batches = Batches(
        task,
        pixels,
        labels,
        [str(row) for row in range(count)],
        batch_size=batch,
        seed=0,
        augment=default_policy(size, hflip_safe=True, classes=classes),
        device=device,
    )
    waits = computes_at_once(device)
    rows = torch.from_numpy(pixels[:batch]).permute(0, 3, 1, 2).to(device)
    target = torch.tensor([label.index for label in labels[:batch]], device=device)

    def ours(forward: Any) -> Any:
        return steps(
            model,
            task.loss,
            prefetched(batches(), 0 if waits else AHEAD),
            built,
            lambda step: 1.0,
            amp=amp,
            scaler=scaler,
            forward=forward,
            check=FiniteCheck(1 if waits else READ_EVERY),
        )

    def plain(forward: Any) -> Any:
        while True:
            with autocast(device, amp):
                loss = F.cross_entropy(forward(rows).float(), target, label_smoothing=0.1)
            scaler.scale(loss).backward()
            scaler.step(built)
            scaler.update()
            built.zero_grad(set_to_none=True)
            yield

    def rate(stream: Any) -> float:
        for _ in islice(stream, 5):
            pass
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for _ in islice(stream, 4):
                done += batch
            if not waits:
                torch.accelerator.synchronize()
        stream.close()
        return done / (time.perf_counter() - began)

    lines = []
    for way, forward in (("eager", model), ("compiled", torch.compile(model))):
        mine, limit = rate(ours(forward)), rate(plain(forward))
        lines.append(
            f"  {way}: {mine:,.0f} images/s, plain loop {limit:,.0f}, ratio {mine / limit:.2f}"
        )
    return "\n".join([f"{name}, {size} px, batches of {batch}, {precision}", *lines])


def airbench(data: str, device: str, folder: Path) -> str:
    """The test accuracy of `airbench` after a minute."""
    words = [data, "--model", "airbench", "--minutes", "1", "--device", device, "--allow-leak"]
    for command in (["train", *words, "--out", folder / "airbench"], ["test", folder / "airbench"]):
        done = foveate(*command)
        if done.returncode:
            return f"{command[0]} has failed: {done.stderr[-300:]}"
    results = json.loads((folder / "airbench" / "results.json").read_text(encoding="utf-8"))
    return (
        f"airbench, one minute: {results['test']['accuracy']['value']:.1%} of "
        f"{results['test']['accuracy']['n']:,} test images, {results['epochs']:.1f} epochs, "
        f"{results['seconds']['train']:.0f} s of training"
    )


def main() -> None:
    """Check the tasks, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cifar10")
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()

    from foveate.training.device import find, hardware

    device = find(given.device)
    print(hardware(str(device)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task in TASKS:
            print(check_task(task, given.device, folder), flush=True)
        for net in NETS:
            print(images_per_second(net, device, given.seconds), flush=True)
        if given.cifar10:
            print(airbench(given.cifar10, given.device, folder), flush=True)


if __name__ == "__main__":
    main()
