"""What is done where the memory of a device does not hold a batch."""

from __future__ import annotations

from foveate.errors import RunError
from foveate.experiment.run_folder import RunFolder


def smaller_batches(run: RunFolder, *, alone: bool) -> dict[str, int]:
    """Settings with half of the batch, so that about as many images as before make a step.

    Args:
        run: The run.
        alone: Whether nothing speaks against beginning again.

    Raises:
        RunError: Training has come too far for that, or there is nothing to halve.
    """
    size, accumulate = run.settings.batch_size or 1, run.settings.accumulate
    smaller = {"batch_size": (size + 1) // 2, "accumulate": 2 * accumulate}
    if size == 1 or not alone or any(row["step"] for row in run.curves):
        raise RunError(
            f"the memory of {run.settings.device} does not hold a batch of {size} images",
            where=run.path,
            remedy="Train anew into another --out, with a smaller --size"
            + (
                f", or with --batch-size {smaller['batch_size']} --set "
                f"accumulate={smaller['accumulate']}."
                if size > 1
                else "."
            ),
        ) from None
    return smaller
