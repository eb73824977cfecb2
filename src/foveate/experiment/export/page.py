"""export.html: all exports of a run side by side, so that one sees what to ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foveate import atomic_io
from foveate.errors import FoveateError
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.names import display_name, title_name
from foveate.report.page import write_html
from foveate.report.panels import Card, Code, Page, Panel, Table
from foveate.tasks.capabilities import GeneratesImages
from foveate.tasks.task import Task
from foveate.wording import percent

RECORD = "exports.json"
PAGE = "export.html"
_FIELDS = ("file", "format", "int8", "megabytes", "milliseconds", "exported", "torch", "agreement")


def write_page(run: RunFolder, task: Task[Any], entry: Mapping[str, Any]) -> None:
    """Add an export to the record of a run, and write its page.

    Args:
        run: The run.
        task: Its task.
        entry: The export; one of the same file is replaced.
    """
    entries = [
        one
        for one in read_entries(run.path)
        if one["file"] != entry["file"] and one["weights"] == entry["weights"]
    ]
    entries.append(dict(entry))
    atomic_io.write_json(run.path / RECORD, entries)
    write_html(_page(run, task, entries), run.path / PAGE)


def read_entries(folder: Path) -> list[dict[str, Any]]:
    """The exports of a run; none if the record is missing or damaged, as it can be made again."""
    try:
        found = atomic_io.read_json(folder / RECORD)
    except (FoveateError, OSError):
        return []
    entries = found if isinstance(found, list) else []
    return [one for one in entries if isinstance(one, dict) and one.keys() >= {*_FIELDS, "weights"}]


def described(entry: Mapping[str, Any]) -> str:
    """The format in a word or two."""
    names = {"onnx": "ONNX", "openvino": "OpenVINO", "pt2": "torch.export"}
    name = names.get(entry["format"], str(entry["format"]))
    return f"{name}, 8 bits" if entry["int8"] else name


def _page(run: RunFolder, task: Task[Any], entries: list[dict[str, Any]]) -> Page:
    newest, primary = entries[-1], task.primary_metric
    before, after = newest["torch"][primary], newest["exported"][primary]
    name = display_name(primary)
    return Page(
        title=f"{run.data['name']} · exports · foveate",
        subtitle=f"{run.data['name']} · {run.settings.model} · exported models",
        headline=f"As {described(newest)}, {run.settings.model} reaches a validation {name} of "
        f"{percent(after['value'])}; in torch, {percent(before['value'])}.",
        verdict=_verdict(newest, primary),
        tone="good",
        cards=[
            Card(
                "size", f"{newest['megabytes']:.1f} MB", f"the run: {newest['run_megabytes']:.1f}"
            ),
            Card(
                "time for an image",
                f"{newest['milliseconds']:.1f} ms",
                f"torch: {newest['torch_milliseconds']:.1f} ms",
            ),
            Card(
                title_name(primary),
                percent(after["value"]),
                f"{percent(after['low'])} to {percent(after['high'])}",
            ),
        ],
        panels=[_sizes(entries, primary), _outputs(newest), *_use(newest, task)],
        kind="export",
    )


def _verdict(entry: Mapping[str, Any], primary: str) -> str:
    difference = entry["difference"][primary]
    return (
        f"Ship it: on {entry['images']:,} validation images the difference from torch is "
        f"{100 * difference['value']:+.2f} points ({100 * difference['low']:+.2f} to "
        f"{100 * difference['high']:+.2f})."
    )


def _sizes(entries: list[dict[str, Any]], primary: str) -> Panel:
    newest = entries[-1]
    value = newest["torch"][primary]
    interval = f"{percent(value['low'])} to {percent(value['high'])}"
    torch_row = [
        "run (torch)", "best.safetensors", f"{newest['run_megabytes']:.1f}",
        f"{newest['torch_milliseconds']:.1f}", percent(value['value']), interval, "",
    ]  # fmt: skip
    rows = [torch_row]
    for one in entries:
        value = one["exported"][primary]
        rows.append(
            [
                described(one), Path(one["file"]).name, f"{one['megabytes']:.1f}",
                f"{one['milliseconds']:.1f}", percent(value['value']),
                f"{percent(value['low'])} to {percent(value['high'])}", percent(one['agreement']),
            ]
        )  # fmt: skip
    return Table(
        "Sizes, speeds and metrics",
        "Milliseconds are the median for one image at a time, resizing and decoding of predictions "
        f"included, on {newest['hardware']}. Agreement is {_agreement(newest)}.",
        ["format", "file", "MB", "ms", display_name(primary), "95% interval", "agreement"],
        rows,
        text_columns=2,
    )


def _agreement(entry: Mapping[str, Any]) -> str:
    if entry.get("pixels"):
        return "the share of values within one grey level, of images from the same noise and words"
    return "the same metric of each image, with the prediction of the run as ground truth"


def _outputs(entry: Mapping[str, Any]) -> Panel:
    rows = [[name, f"{share:.2e}"] for name, share in entry["outputs"].items()]
    return Table(
        "Outputs of the net",
        "The largest difference between the net in torch and in the newest export, as a share of "
        "the largest value of the output.",
        ["output", "difference"],
        rows,
    )


def _use(entry: Mapping[str, Any], task: Task[Any]) -> list[Panel]:
    packages = {"onnx": "onnxruntime", "openvino": "openvino"}
    if entry["format"] not in packages:
        return []
    generates = isinstance(task, GeneratesImages)
    command = "generate" if generates else "predict"
    what = "'words' --out generated/" if generates else "images/ --json found.json"
    lines = (
        f"pip install foveate {packages[entry['format']]}",
        f"foveate {command} {entry['file']} {what}",
    )
    same = f"It gives what foveate {command} gives with the run."
    return [Code("Use it", same, "\n".join(lines))]


def conclusion(entry: Mapping[str, Any], path: Path, task: Task[Any]) -> list[str]:
    """The lines that the command prints at its end.

    Args:
        entry: The export.
        path: Its file, as the user named it.
        task: Its task.
    """
    primary, form = task.primary_metric, described(entry)
    before, after = entry["torch"][primary], entry["exported"][primary]
    difference = entry["difference"][primary]
    interval = f"{percent(after['low'])} to {percent(after['high'])}"
    return [
        "",
        f"{form}: {path}, {entry['megabytes']:.1f} MB",
        f"validation {display_name(primary)}  {percent(after['value'])} ({interval}); in torch "
        f"{percent(before['value'])}, difference {100 * difference['value']:+.2f} points",
        f"agreement with torch    {percent(entry['agreement'])} on {entry['images']:,} images",
        *_pixels(entry),
        f"an image takes          {entry['milliseconds']:.1f} ms; in torch "
        f"{entry['torch_milliseconds']:.1f} ms",
        "",
    ]


def _pixels(entry: Mapping[str, Any]) -> list[str]:
    if not (pixels := entry.get("pixels")):
        return []
    return [
        f"equal images            {percent(pixels['equal'])}; the largest difference is "
        f"{pixels['largest']} of 255 grey levels"
    ]
