"""Names that are checked, or completed by the shell, before torch is imported."""

from __future__ import annotations

from pathlib import Path


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
    if data:
        from foveate.datasets.load import check_there

        check_there(data)
    return data


def check_run(run: Path | str) -> Path | str:
    """Check that a run or a file is there before torch is imported.

    Args:
        run: Its path, or a foundation model such as clip:DIR.

    Raises:
        RunError: There is nothing.
    """
    if ":" not in str(run) and not Path(run).exists():
        from foveate.experiment.claim import settings_file

        settings_file(Path(run))
    return run


def task_names() -> list[str]:
    """The names of all tasks, for the shell's completion."""
    from foveate import tasks

    return list(tasks.entries())


def model_names() -> list[str]:
    """The names of all models, for the shell's completion."""
    from foveate import models

    return [entry.name for entry in models.entries()]
