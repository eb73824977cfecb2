"""The check that no two samples share an id."""

from __future__ import annotations

from collections import Counter
from typing import Any

from foveate.data.dataset import Dataset
from foveate.errors import DataError


def check_unique_ids(dataset: Dataset[Any]) -> None:
    """Check that no two samples share an id: splits, randomness and predictions go by it.

    Raises:
        DataError: Some do; with their names.
    """
    counts = Counter(sample.id for sample in dataset)
    repeated = [id for id, number in counts.items() if number > 1]
    if repeated:
        more = f" and {len(repeated) - 3:,} more" if len(repeated) > 3 else ""
        names = ", ".join(repr(id) for id in repeated[:3])
        raise DataError(
            f"every sample needs an id of its own; several samples have the id {names}{more}",
            where=str(dataset.origin or dataset.name),
            remedy="Give each sample its own id.",
        )
