"""Label Studio's exports JSON and JSON-MIN: a list of tasks with the annotations of each image.

Rectangles, polygons, ellipses and brush masks are objects; choices and taxonomies are labels of
images, text areas are texts on them. If there are several of these, the task says which are read.
Images are found by the end of their paths, whatever server they were on. Cancelled annotations are
left out; of several annotations that differ, the one that is marked as ground truth is read.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from foveate.annotations import Boxes, Captions, Instances, Label
from foveate.data.dataset import Dataset, Skipped
from foveate.errors import DataError
from foveate.formats._shared.documents.json_file import has_keys, read_json
from foveate.formats._shared.drawn import DrawnImage, Export, counted, dataset_of, require_files
from foveate.formats._shared.files.image_finder import ImageFinder
from foveate.formats._shared.files.written_names import readings
from foveate.formats._shared.layout import has_image_suffix, visible
from foveate.formats.label_studio.minimal import as_tasks
from foveate.formats.label_studio.regions import add_results
from foveate.wording import count_noun

NAME = "label-studio"
SUMMARY = "Label Studio's export JSON or JSON-MIN, with the images beside it or below its folder"
TASKS = (Boxes.task, Instances.task, Label.task, Captions.task)

_MAX_FILES = 20
_IMAGE_KEYS = ("image", "img", "image_url", "photo", "picture", "url")


def sniff(path: Path) -> bool:
    """Return whether a JSON file is a list with the keys of Label Studio."""
    try:
        return bool(_files(path))
    except OSError:
        return False


def read(path: Path) -> Dataset[Any]:
    """Read one sample per task, its id being the path of the image.

    Classes are sorted by name, or as in classes.txt. The task is "instance" if anything but
    rectangles is drawn, else "detection"; without objects "classification" or "text_to_image".
    Tasks that nobody annotated and missing images are skipped and listed.

    Raises:
        DataError: If a file cannot be understood, if a task has annotations that differ, or if
            there are annotations for several tasks.
    """
    return read_task(path, None)


def read_task(path: Path, task: str | None) -> Dataset[Any]:
    """Read the annotations for one task; see `read`."""
    files = _files(path)
    require_files(files, "a JSON file of Label Studio", path, SUMMARY)
    finder = ImageFinder(path if path.is_dir() else path.parent)
    images: dict[str, DrawnImage] = {}
    skipped: list[Skipped] = []
    left_out: Counter[str] = Counter()
    for file in files:
        for number, record in enumerate(as_tasks(_records(file), file), 1):
            image = _image(record, f"task {record.get('id', number)}", file, finder, left_out)
            if isinstance(image, Skipped):
                skipped.append(image)
            elif image.id in images:
                raise DataError(
                    f"one task for each image is expected, {image.id!r} has another one in "
                    f"{images[image.id].where.name}",
                    where=file,
                    remedy="Remove one of the two.",
                )
            else:
                images[image.id] = image
    notes = counted(left_out)
    if not images:
        raise DataError(
            f"annotated tasks are expected, found none ({len(skipped):,} skipped)", where=files[0]
        )
    export = Export(list(images.values()), (), tuple(skipped), tuple(notes))
    return dataset_of(export, finder, path, task)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.suffix.lower() == ".json" and _is_export(path) else []
    files = [Path(entry.path) for entry in visible(path)[1] if entry.name.lower().endswith(".json")]
    return [file for file in files if _is_export(file)] if len(files) <= _MAX_FILES else []


def _is_export(file: Path) -> bool:
    return (
        has_keys(file, "data", "annotations", "result", opening=b"[")
        or has_keys(file, "data", "completions", "result", opening=b"[")
        or has_keys(file, "annotation_id", "annotator", opening=b"[")
    )


def _records(file: Path) -> list[dict[str, Any]]:
    content = read_json(file)
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise DataError("a list of tasks is expected", where=file)
    return content


def _image(
    record: dict[str, Any],
    what: str,
    file: Path,
    finder: ImageFinder,
    left_out: Counter[str],
) -> DrawnImage | Skipped:
    """Return the image of a task, or why it is left out."""
    data = record.get("data")
    if not isinstance(data, dict):
        raise DataError(f"data is expected in {what}", where=file)
    id = finder.find(_written(data, record, what, file), folder=file.parent, where=file)
    annotations = record.get("annotations", record.get("completions"))
    if annotations is None:
        annotations = []
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise DataError(f"a list of annotations is expected in {what}", where=file)
    finished = [one for one in annotations if not one.get("was_cancelled")]
    if cancelled := len(annotations) - len(finished):
        left_out["cancelled annotations, left out"] += cancelled
    if record.get("predictions") and not finished:
        left_out["tasks with predictions only, which are not read"] += 1
    if not finished:
        return Skipped(id, "nobody annotated it")
    results = _one_of(finished, what, file, left_out)
    image = DrawnImage(id, file)
    reason = add_results(image, results, what, left_out)
    return Skipped(id, reason) if reason else image


def _written(data: dict[str, Any], record: dict[str, Any], what: str, file: Path) -> str:
    """Return the path of the image as written: the only text in the data that names one."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value.strip()}
    named = {
        key: value
        for key, value in texts.items()
        if value.startswith("data:image") or any(map(has_image_suffix, readings(value)))
    }
    choices = named or {key: value for key, value in texts.items() if key in _IMAGE_KEYS}
    if len(choices) > 1:
        choices = {key: choices[key] for key in _IMAGE_KEYS[:1] if key in choices} or choices
    if len(choices) == 1:
        return next(iter(choices.values()))
    upload = record.get("file_upload")
    if not choices and isinstance(upload, str) and upload.strip():
        return upload
    found = f"found {', '.join(choices)[:200]}" if choices else f"it has {', '.join(data)[:200]}"
    raise DataError(
        f"one image a task is expected in the data of {what}, {found}",
        where=file,
        remedy="Name the one that was annotated 'image'.",
    )


def _one_of(
    annotations: list[dict[str, Any]], what: str, file: Path, left_out: Counter[str]
) -> list[dict[str, Any]]:
    """Return the results of the annotation that counts, of several finished ones."""
    for one in annotations:
        if not isinstance(one.get("result"), list):
            raise DataError(
                f"a list is expected as the result of an annotation of {what}", where=file
            )
    true = [one for one in annotations if one.get("ground_truth") is True]
    if len(annotations) > 1 and len(true) == 1:
        left_out["annotations beside one that is marked as ground truth, left out"] += (
            len(annotations) - 1
        )
        annotations = true
    contents = {_content(one["result"]) for one in annotations}
    if len(contents) > 1:
        raise DataError(
            f"one annotation is expected for {what}, found "
            f"{count_noun(len(annotations), 'finished one')} that differ",
            where=file,
            remedy="Mark the right one as ground truth in Label Studio (the star), or cancel the "
            "others, and export again.",
        )
    if len(annotations) > 1:
        left_out["equal annotations of one task, read once"] += len(annotations) - 1
    result: list[dict[str, Any]] = annotations[0]["result"]
    return result


def _content(results: list[Any]) -> str:
    """Return what results say, without the ids that differ anyway."""
    values = [
        json.dumps(one.get("value"), sort_keys=True) if isinstance(one, dict) else repr(one)
        for one in results
    ]
    return "\n".join(sorted(values))
