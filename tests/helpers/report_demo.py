"""Pages to test and to look at: `python tests/report/report_demo.py FOLDER` writes them there. Digits are scikit-learn's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from foveate.report import charts
from foveate.report.page import write
from foveate.report.panels import (
    Bar,
    Bars,
    Card,
    Chart,
    Code,
    Gallery,
    Item,
    Matrix,
    Note,
    Notes,
    Page,
    Panel,
    Table,
)

NAN = float("nan")
HOSTILE = (
    "<script>alert('x')</script>\"&amp;{{ 7*7 }} 犬 \u202e\u0645\u0631\u062d\u0628\u0627 "
    + "very-long-" * 30
)


def curves(epochs: int, seed: int = 0) -> list[dict[str, float]]:
    """Learning curves that fall, then overfit a little."""
    rng = np.random.default_rng(seed)
    rows = []
    for epoch in range(1, epochs + 1):
        train = 2.2 * np.exp(-epoch / 5) + 0.05
        valid = train + 0.05 + 0.004 * max(0, epoch - 14) + rng.normal(0, 0.008)
        row = {
            "step": 20.0 * epoch,
            "epoch": float(epoch),
            "train_loss": train,
            "valid_loss": valid,
            "lr": 0.01,
        }
        rows.append(
            row | {"train_accuracy": np.exp(-train / 3), "valid_accuracy": np.exp(-valid / 3)}
        )
    return rows


def digits(count: int) -> list[np.ndarray]:
    """(8, 8, 1) uint8 pictures of handwritten digits."""
    from sklearn.datasets import load_digits

    return [(image * 15.9375).astype(np.uint8)[..., None] for image in load_digits().images[:count]]


def counts(classes: int, mistakes: int, seed: int = 0) -> np.ndarray:
    """(K, K) int64 with about 27 pictures a class."""
    rng = np.random.default_rng(seed)
    matrix = np.diag(rng.integers(20, 34, classes)).astype(np.int64)
    for _ in range(mistakes):
        target = int(rng.integers(classes))
        matrix[target, (target + int(rng.integers(1, min(classes, 4)))) % classes] += 1
    return matrix


def predict_all(names: list[str], matrix: np.ndarray, mistakes: list[Item]) -> list[Panel]:
    """What a classifier tells of its answers."""
    total, found, said = matrix.sum(1), matrix.diagonal(), matrix.sum(0)
    rows = [
        [name, f"{n}", f"{d / s:.1%}", f"{d / n:.1%}"]
        for name, n, d, s in zip(names, total, found, said, strict=True)
    ]
    confidence = np.linspace(0.35, 0.99, 10)
    bins = np.array([1, 0, 2, 2, 4, 5, 9, 14, 40, 193])
    accuracy = np.where(bins > 0, confidence**0.8 - 0.04, NAN)
    wrong = int(total.sum() - found.sum())
    return [
        Matrix(
            "What is taken for what",
            "Each row is a true class, each column an answer.",
            matrix,
            names,
        ),
        Table(
            "Class by class",
            "Recall and precision.",
            ["class", "pictures", "precision", "recall"],
            rows,
        ),
        Chart(
            "Does it know when it does not know?",
            "",
            charts.reliability(confidence, accuracy, bins),
        ),
        Gallery("Surest mistakes", f"{wrong} of {total.sum()} are wrong.", mistakes),
    ]


def page(
    names: list[str] | None = None, epochs: int = 24, mistakes: int = 6, tested: bool = True
) -> Page:
    """A run on digits, or on as many made-up classes as there are names."""
    names = names or [f"{digit}" for digit in range(10)]
    images = digits(24)
    matrix = counts(len(names), mistakes)
    wrong = [
        Item(
            image,
            f"{names[i % len(names)]}, taken for {names[(i + 1) % len(names)]}",
            f"{99 - i}% sure",
            "bad",
        )
        for i, image in enumerate(images[:mistakes])
    ]
    seen = (
        "270 pictures it had never seen"
        if tested
        else "the validation part; the test part is still locked"
    )
    skipped = [[f"scan/{i:04}.png", "it ends too early: 1,204 of 3,310 bytes"] for i in range(50)]
    ledger: Panel = Notes(
        "The test part", "It is still locked. To open it, once: foveate test runs/digits", []
    )
    if tested:
        opened = [["2026-01-02T03:04:05", "0a1b2c3d4e5f", "98.5%"]]
        ledger = Table(
            "The test part",
            "Opened once, as it should be.",
            ["opened", "weights", "accuracy"],
            opened,
            2,
        )
    return Page(
        title="digits · quick · foveate",
        subtitle=f"digits · {len(names)} classes · quick · 38,106 weights",
        headline=f"This model reads digits right 98.5% of the time (95% interval 96.9% to 99.6%, on {seen}). "
        "The best simple baseline, nearest neighbour, gets 97.8%.",
        verdict="Careful: it is not clearly better than nearest neighbour."
        if tested
        else "The test part is locked.",
        tone="careful" if tested else "plain",
        cards=[
            Card("Accuracy", "98.5%", "96.9% to 99.6%"),
            Card("Balanced accuracy", "98.4%", "96.7% to 99.6%"),
            Card("Macro F1", "nan%", "no interval"),
            Card("Log loss (less is better)", "0.061", "0.021 to 0.112"),
            Card("Calibration error (less is better)", "0.8%", "0.4% to 1.9%"),
        ],
        panels=[
            Bars(
                "Against the simplest things that could work",
                "Accuracy on the test part, with 95% intervals. The lift is +0.7 points (-1.1 to +2.6).",
                [
                    Bar("random guess", 0.093, 0.059, 0.130, "9.3%"),
                    Bar("majority class", 0.104, NAN, NAN, "10.4%"),
                    Bar("logistic regression", 0.963, 0.937, 0.985, "96.3%"),
                    Bar("nearest neighbour", 0.978, 0.959, 0.993, "97.8%"),
                    Bar("not measured", NAN, NAN, NAN, "nan%"),
                    Bar("tiny_cnn", 0.985, 0.969, 0.996, "98.5%", model=True),
                ],
            ),
            Chart(
                "How it learnt",
                "Loss and accuracy after each epoch.",
                charts.learning_curves(curves(epochs), "accuracy"),
            ),
            Notes(
                "What the curves say",
                "",
                [
                    Note(
                        "overfitting",
                        "From epoch 15 the validation loss rises.",
                        "Train for 15 epochs.",
                        "careful",
                    ),
                    Note(
                        "learning rate too high",
                        "The loss jumps up and down.",
                        "Try --lr 0.003.",
                        "bad",
                    ),
                    Note("healthy", "Both curves came to rest together.", tone="good"),
                ],
            ),
            *predict_all(names, matrix, wrong),
            Gallery(
                "What training saw",
                "Shifted by a pixel.",
                [Item(p, names[i % len(names)]) for i, p in enumerate(images[:8])],
            ),
            Table(
                "The data",
                "Pictures of each class.",
                ["class", "train", "valid", "test"],
                [[n, "126", "27", "27"] for n in names],
            ),
            Table(
                "Skipped",
                "1,000 samples could not be used. The first 50 are shown; all are in data.json.",
                ["sample", "reason"],
                skipped,
                2,
            ),
            ledger,
            Code(
                "How to run it again",
                "2 cores. train 14.2 s.",
                "foveate train digits --model tiny_cnn --seed 0\n\nformat: 1\nseed: 0",
            ),
        ],
    )


PAGES = {
    "digits": lambda: page(),
    "locked": lambda: page(["cat", "dog"], epochs=1, mistakes=0, tested=False),
    "many": lambda: page(
        [f"{i}: Canis lupus familiaris {'ß犬 ' * (i % 9)}" for i in range(200)], mistakes=400
    ),
    "hostile": lambda: page([f"{HOSTILE}{i}" for i in range(12)], mistakes=24),
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        write(make(), Path(sys.argv[1]) / f"{name}.html")
