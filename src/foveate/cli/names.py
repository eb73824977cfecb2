"""Names that are checked, or completed by the shell, before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar


def check_task(task: str | None) -> str | None:
    """Check that there is a task of this name, if one is given."""
    from foveate import tasks

    if task is not None:
        tasks.check_name(task)
    return task


def check_data(data: str | None) -> str | None:
    """Check that data is there before torch is imported, which takes seconds.

    Raises:
        DataError: There is no such path, and no dataset of this name.
    """
    if data is not None:
        from foveate.datasets.load import check_there

        check_there(data)
    return data


R = TypeVar("R", Path, str, list[str], list[Path])


def check_run(run: R) -> R:
    """Check that runs are there before torch is imported.

    Args:
        run: The path of a run or of an exported model, a foundation model such as clip:DIR, or
            several of them.

    Raises:
        RunError: There is nothing.
    """
    for one in run if isinstance(run, list) else [run]:
        if ":" not in str(one) and not _exists(Path(one)):
            from foveate.experiment.claim import settings_file
            from foveate.inference.exported.model import ExportedModel

            if not ExportedModel.is_one(one):  # of these, `open` says more
                settings_file(Path(one))
    return run


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # what opens it says why it cannot be read
        return True


def task_names() -> list[str]:
    """The names of all tasks, for the shell's completion."""
    from foveate import tasks

    return list(tasks.entries())


def model_names() -> list[str]:
    """The names of all models, for the shell's completion."""
    from foveate import models

    return [entry.name for entry in models.entries()]
