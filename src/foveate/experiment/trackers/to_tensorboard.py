"""TensorBoard: event files in RUN/tensorboard (tensorboard --logdir runs)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate.experiment.trackers.tracker import Tracker


class TensorBoard(Tracker):
    """Event files, written by torch.

    Args:
        folder: Of the event files.
        config: The settings.
        step: Events from this step on, of an earlier process, are replaced.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.record, self.where = {}, f"tensorboard --logdir {folder.parent}"
        self._writer: Any = SummaryWriter(str(folder), purge_step=step)
        text = json.dumps(config, indent=1, ensure_ascii=False)
        self._writer.add_text("config", "    " + text.replace("\n", "\n    "), step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve: "valid_loss" is valid in the group loss."""
        for name, value in values.items():
            split, _, metric = name.partition("_")
            tag = f"{metric}/{split}" if split in ("train", "valid") else name
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def finish(self, files: Sequence[Path]) -> None:
        """Say where the files are: TensorBoard keeps none, and they lie in the run folder."""
        self._writer.add_text("files", "\n".join(f"- {path.resolve()}" for path in files))
        self._writer.close()

    def stop(self) -> None:
        """Close the event file."""
        self._writer.close()


def open_tracker(
    run: Path, config: Mapping[str, Any], recorded: Mapping[str, str] | None, step: int
) -> TensorBoard:
    """Open the event files of a run folder."""
    del recorded
    return TensorBoard(run / "tensorboard", config, step)
