"""Labels that are probably wrong, by the probabilities of probes that did not see the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.audit.finding import Finding
from foveate.data.dataset import Dataset
from foveate.metrics import label_errors


@dataclass(frozen=True)
class LabelErrors:
    """What out-of-fold probabilities say about the labels of N images.

    Attributes:
        labels: (N,) int64, the class of each label.
        probabilities: (N, K); each row is from a probe that was fitted neither to that image nor
            to a copy of it.
        margin: (N,) from -1 to 1: how much more probable another class is than the label.
        suspects: Rows whose label is probably wrong, the most doubtful first.
        ambiguity: (N,) from 0 to 1: near 1 where two classes are about as probable.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    margin: NDArray[np.float64]
    suspects: list[int]
    ambiguity: NDArray[np.float64]

    @classmethod
    def of(cls, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelErrors:
        """Confident learning on (N,) labels and (N, K) out-of-fold probabilities."""
        return cls(
            labels,
            probabilities,
            label_errors.margin(probabilities, labels),
            label_errors.suspects(probabilities, labels),
            label_errors.ambiguity(probabilities),
        )

    def findings(self, dataset: Dataset[Any]) -> list[Finding]:
        """One finding for each label that is probably wrong."""
        findings = []
        for row in self.suspects:
            predicted = int(self.probabilities[row].argmax())
            findings.append(
                Finding(
                    "warning",
                    "label probably wrong",
                    (dataset[row].id,),
                    f"labelled {dataset.classes[self.labels[row]]!r}; a probe that was not fitted "
                    f"to it predicts {dataset.classes[predicted]!r} "
                    f"({self.probabilities[row, predicted]:.0%})",
                    "Look at it and correct the label.",
                    score=float(self.margin[row]),
                )
            )
        return findings
