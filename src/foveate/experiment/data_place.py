"""Where the data of a run lies: recorded as a whole path, and anew when the data was moved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate import atomic_io, formats
from foveate.data.dataset import Dataset
from foveate.errors import DataChanged, RunError
from foveate.experiment.claim import UNFINISHED
from foveate.experiment.prepare import reopen
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.progress import Reporter
from foveate.settings import Settings

Place = str | Path | Dataset[Any]
"""A path, the name of a known dataset, or a Dataset."""
_PATHS = ("data", "root", "split", "weights")
"""Settings that may be paths."""
_CHANGED_REMEDY = (
    "Bring the data back as it was, name its new place with --data, or train again into another "
    "--out."
)
_CLIP = "clip:"  # before the folder of a text encoder


def whole_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their paths in full, so that they lead to the same place from every folder.

    What is no path that exists, such as the name of a dataset, stays as it is.

    Args:
        settings: Settings by name.
    """
    given = {name: settings.get(name) for name in _PATHS}
    whole = {
        name: whole_path(value)
        for name, value in given.items()
        if isinstance(value, str | Path)
        and not (name == "weights" and value in ("download", "included"))
    }
    encoder = settings.get("text_encoder")
    if isinstance(encoder, str) and encoder.startswith(_CLIP):
        whole["text_encoder"] = _CLIP + whole_path(encoder.removeprefix(_CLIP))
    return {**settings, **whole}


def whole_path(text: str | Path) -> str:
    """A path that exists, in full and with ~ expanded; any other text as it is."""
    path = formats.expand_user(text)
    try:
        if not str(text) or not path.exists():
            return str(text)
        short = os.path.abspath(path)  # noqa: PTH100 - without "..", if no link makes it another
        return short if path.samefile(short) else str(path.absolute())
    except (OSError, ValueError):  # in a folder that may not be read; reading it reports that
        return str(path.absolute())


def place_of(data: Place) -> str:
    """What the settings record of the data that a user names."""
    if isinstance(data, Dataset):
        data = data.origin or data.name
    return whole_path(str(data))


def move(run: RunFolder, data: Place) -> None:
    """Have the run read its data from another place from now on. Nothing is recorded yet."""
    run.settings = run.settings.model_copy(update={"data": place_of(data)})
    run.dataset = data if isinstance(data, Dataset) else None


def reopen_at(run: RunFolder, data: Place | None, reporter: Reporter) -> PreparedData:
    """Prepare the data of an existing run again, and record its place if that is new.

    Args:
        run: The run.
        data: Where its data lies now; None for where it was.
        reporter: Receives the new place.

    Raises:
        DataChanged: It is other data than the run began with, by the content of the images.
        RunError: The record is damaged, or the split was edited.
        DataError: The data cannot be read.
    """
    if data is None:
        try:
            return reopen(run, reporter)
        except DataChanged as error:
            raise DataChanged(error.message, where=error.where, remedy=_CHANGED_REMEDY) from None
    before = run.settings, run.dataset
    move(run, data)
    place = run.settings.data
    try:
        prepared = reopen(run, reporter)
    except DataChanged as error:
        run.settings, run.dataset = before
        raise DataChanged(
            f"this is not the data that the run began with ({error.message})",
            where=place,
            remedy="Name the place of that data, or train again into another --out.",
        ) from None
    except BaseException:
        run.settings, run.dataset = before
        raise
    if run.settings.data != before[0].data:
        _record(run)
        reporter.info(f"the same data, at its new place: {run.settings.data}")
    return prepared


def _record(run: RunFolder) -> None:
    """Write down where the data lies now."""
    place = run.settings.data
    run.save_settings(data=place)
    asked = run.path / UNFINISHED
    if asked.exists():
        Settings.load(asked).model_copy(update={"data": place}).save(asked)
    atomic_io.write_json(run.path / "data.json", {**run.data, "origin": place})


def refuse_changes(run: RunFolder, settings: Mapping[str, Any]) -> None:
    """Refuse settings for a run that began with others.

    Args:
        run: The run.
        settings: What is asked for now. What equals the run's record passes.

    Raises:
        SettingError: There is no such setting, or no such value.
        RunError: With each setting that differs, and what it was.
    """
    asked = Settings.of(**whole_paths(settings)).model_dump(mode="json")
    records = [run.settings]
    if (run.path / UNFINISHED).exists():
        records.append(Settings.load(run.path / UNFINISHED))
    known = [record.model_dump(mode="json") for record in records]
    changed = [
        f"{name} {_shown(known[0][name])}, not {_shown(asked[name])}"
        for name in settings
        if all(record[name] != asked[name] for record in known)
    ]
    if changed:
        raise RunError(
            "a run goes on with the settings that it began with, other ones are asked for: "
            + "; ".join(changed),
            where=run.path,
            remedy="Leave them out, or train anew into another --out.",
        )


def _shown(value: Any) -> str:
    return "by default" if value is None else str(value)
