"""Demo pages for tests and for a look in the browser.

`python tests/helpers/report_demo.py FOLDER` writes them there. The digits are scikit-learn's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from foveate.report import charts
from foveate.report.page import write_html
from foveate.report.panels import (
    Bar,
    Bars,
    Card,
    Chart,
    Code,
    ConfusionMatrix,
    Gallery,
    GalleryItem,
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
    """(8, 8, 1) uint8 images of handwritten digits."""
    from sklearn.datasets import load_digits

    return [(image * 15.9375).astype(np.uint8)[..., None] for image in load_digits().images[:count]]


def counts(classes: int, mistakes: int, seed: int = 0) -> np.ndarray:
    """A (K, K) int64 confusion matrix with about 27 images per class."""
    rng = np.random.default_rng(seed)
    matrix = np.diag(rng.integers(20, 34, classes)).astype(np.int64)
    for _ in range(mistakes):
        target = int(rng.integers(classes))
        matrix[target, (target + int(rng.integers(1, min(classes, 4)))) % classes] += 1
    return matrix


def classifier_panels(
    names: list[str], matrix: np.ndarray, mistakes: list[GalleryItem]
) -> list[Panel]:
    """The panels of a classification run."""
    totals, correct, predicted = matrix.sum(1), matrix.diagonal(), matrix.sum(0)
    rows = [
        [name, f"{n}", f"{d / s:.1%}", f"{d / n:.1%}"]
        for name, n, d, s in zip(names, totals, correct, predicted, strict=True)
    ]
    confidence = np.linspace(0.35, 0.99, 10)
    bins = np.array([1, 0, 2, 2, 4, 5, 9, 14, 40, 193])
    accuracy = np.where(bins > 0, confidence**0.8 - 0.04, NAN)
    wrong = int(totals.sum() - correct.sum())
    return [
        ConfusionMatrix(
            "Confusion matrix",
            "Rows are target classes, columns are predicted classes.",
            matrix,
            names,
        ),
        Table(
            "Metrics by class",
            "Recall and precision.",
            ["class", "images", "precision", "recall"],
            rows,
        ),
        Chart(
            "Reliability",
            "",
            charts.reliability(confidence, accuracy, bins),
        ),
        Gallery("Most confident errors", f"{wrong} of {totals.sum()} are wrong.", mistakes),
    ]


def page(
    names: list[str] | None = None, epochs: int = 24, mistakes: int = 6, tested: bool = True
) -> Page:
    """A run on digits, or on as many made-up classes as there are names."""
    names = names or [f"{digit}" for digit in range(10)]
    images = digits(24)
    matrix = counts(len(names), mistakes)
    wrong = [
        GalleryItem(
            image,
            f"{names[i % len(names)]}, predicted as {names[(i + 1) % len(names)]}",
            f"confidence {99 - i}%",
            "bad",
        )
        for i, image in enumerate(images[:mistakes])
    ]
    evaluated_on = "270 test images" if tested else "270 validation images"
    skipped = [
        [f"scan/{i:04}.png", "the file is truncated: 1,204 of 3,310 bytes"] for i in range(50)
    ]
    ledger: Panel = Notes(
        "Test split", "Still locked. Unlock it once, at the end: foveate test runs/digits", []
    )
    if tested:
        uses = [["2026-01-02T03:04:05", "0a1b2c3d4e5f", "98.5%"]]
        ledger = Table(
            "Test split",
            "Used once, as intended.",
            ["used at", "weights", "accuracy"],
            uses,
            2,
        )
    return Page(
        title="digits · tiny_cnn · foveate",
        subtitle=f"digits · {len(names)} classes · tiny_cnn · 38,106 parameters",
        headline=f"Careful: this model classifies 98.5% of {evaluated_on} correctly.",
        verdict="It is not clearly better than nearest neighbour."
        if tested
        else "The test split is still locked.",
        context="The 95% confidence interval is 96.9% to 99.6%. The best simple baseline, nearest "
        "neighbour, reaches 97.8%.",
        tone="careful" if tested else "plain",
        cards=[
            Card("Accuracy", "98.5%", "96.9% to 99.6%"),
            Card("Balanced accuracy", "98.4%", "96.7% to 99.6%"),
            Card("Macro F1", "nan%", "no interval"),
            Card("Log loss (lower is better)", "0.061", "0.021 to 0.112"),
            Card("Calibration error (lower is better)", "0.8%", "0.4% to 1.9%"),
        ],
        panels=[
            Bars(
                "Comparison with simple baselines",
                "Accuracy on the test split, with 95% confidence intervals. The lift is +0.7 "
                "points (-1.1 to +2.6).",
                [
                    Bar("random guess", 0.093, 0.059, 0.130, "9.3%"),
                    Bar("majority class", 0.104, NAN, NAN, "10.4%"),
                    Bar("logistic regression", 0.963, 0.937, 0.985, "96.3%"),
                    Bar("nearest neighbour", 0.978, 0.959, 0.993, "97.8%"),
                    Bar("not measured", NAN, NAN, NAN, "nan%"),
                    Bar("tiny_cnn", 0.985, 0.969, 0.996, "98.5%", highlighted=True),
                ],
            ),
            Chart(
                "Learning curves",
                "Loss and accuracy after each epoch.",
                charts.learning_curves(curves(epochs), "accuracy"),
            ),
            Notes(
                "Diagnosis of the curves",
                "",
                [
                    Note(
                        "overfitting",
                        "The validation loss rises from epoch 15 on.",
                        "Train for 15 epochs.",
                        "careful",
                    ),
                    Note(
                        "learning rate too high",
                        "The loss jumps up and down.",
                        "Try --lr 0.003.",
                        "bad",
                    ),
                    Note("healthy", "Both curves level off together.", tone="good"),
                ],
            ),
            *classifier_panels(names, matrix, wrong),
            Gallery(
                "Augmented training images",
                "Each image is shifted by a pixel.",
                [GalleryItem(image, names[i % len(names)]) for i, image in enumerate(images[:8])],
            ),
            Table(
                "Data",
                "Images of each class in each split.",
                ["class", "train", "valid", "test"],
                [[n, "126", "27", "27"] for n in names],
            ),
            Table(
                "Skipped samples",
                "1,000 samples could not be used. The first 50 are listed; data.json lists all.",
                ["sample", "reason"],
                skipped,
                2,
            ),
            ledger,
            Code(
                "Reproduce this run",
                "2 cores. Training took 14.2 s.",
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
        write_html(make(), Path(sys.argv[1]) / f"{name}.html")
