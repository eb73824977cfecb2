"""The card of a model: what it predicts, how well, on which data, and where not to trust it.

It is Markdown after a head in YAML, with the fields that model hubs expect, all from the record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveate import atomic_io, record_io
from foveate.data.dataset import SplitName
from foveate.errors import RunError, SettingError
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.shipped import card_sections as sections
from foveate.experiment.shipped.markdown import escape, front_matter
from foveate.experiment.shipped.private_paths import PrivatePaths
from foveate.experiment.verdict import verdict_of
from foveate.metrics.names import rough_mark, title_name
from foveate.outputs import FileKind, check_output
from foveate.tasks.catalog import PIPELINE_TAGS
from foveate.tasks.task import Task

NAME = "card.md"
"""The file's name in a run folder."""
KIND = FileKind("model card", re.compile(rb"---\nlibrary_name: foveate\n"))
"""A file of `write_card`."""
UNKNOWN_LICENSE = "unknown"
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.\-]{0,59}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class ModelCard:
    """What a card is made of.

    Attributes:
        run: A finished run.
        task: Its task, as it was calibrated.
        results: The contents of results.json.
        data: The contents of data.json.
        paths: Paths that it does not name.
        license: Identifier of the model's licence.
        files: Names of exported files that are handed over with it.
    """

    run: RunFolder
    task: Task[Any]
    results: Mapping[str, Any]
    data: Mapping[str, Any]
    paths: PrivatePaths
    license: str
    files: Sequence[str] = ()

    @property
    def split(self) -> SplitName:
        """The split that its first sentence is about."""
        return "test" if self.results["test"] else "valid"

    def render(self) -> str:
        """The card as a text. The same record gives the same bytes."""
        model, name = self.paths.hide(self.results["model"]), self.data["name"]
        verdict = verdict_of(self.run, self.results, self.split, self.task)
        parts = [
            f"# {escape(f'{name}, {model}')}",
            escape(f"{verdict.headline} {verdict.sentence}"),
            *sections.prediction(self),
            *sections.use(self),
            *sections.metrics(self),
            *sections.limits(self),
            *sections.dataset(self),
            *sections.training(self),
            *sections.licences(self),
        ]
        head = front_matter(self._head(model))
        return self.paths.hide(head) + "\n" + "\n\n".join(parts) + "\n"

    def _head(self, model: str) -> dict[str, Any]:
        task, name = self.task, self.data["name"]
        tag = PIPELINE_TAGS.get(task.name)
        slug = _slug(name)
        return {
            "library_name": "foveate",
            "license": self.license,
            **({"pipeline_tag": tag} if tag else {}),
            "tags": ["foveate", task.name, _slug(model)],
            "datasets": [slug],
            "metrics": [task.primary_metric],
            "model-index": [
                {
                    "name": f"{slug}-{_slug(model)}",
                    "results": [
                        self._index_entry(split, tag or task.name)
                        for split in ("test", "valid")
                        if self.results[split]
                    ],
                }
            ],
        }

    def _index_entry(self, split: SplitName, tag: str) -> dict[str, Any]:
        """The metrics of a split, as model-index has them."""
        name = self.data["name"]
        return {
            "task": {"type": tag},
            "dataset": {
                "name": name,
                "type": _slug(name),
                "split": "validation" if split == "valid" else split,
            },
            "metrics": [
                {
                    "type": metric,
                    "name": title_name(metric) + _interval(value),
                    "value": value["value"],
                }
                for metric, value in self.results[split].items()
                if value["value"] is not None
            ],
        }


def _interval(value: Mapping[str, Any]) -> str:
    if value["low"] is None:
        return ""
    return f" (95% interval {value['low']:.4g} to {value['high']:.4g}{rough_mark(value)})"


def _slug(text: str) -> str:
    """A name of the signs that hubs allow."""
    return _NOT_IN_NAMES.sub("-", text).strip("-.")[:96] or "unnamed"


def make_card(
    run: RunFolder, license: str | None = None, files: Sequence[str] = (), *, paths: Any = None
) -> ModelCard:
    """Gather the record of a run for its card.

    Args:
        run: A finished run.
        license: Identifier of the model's licence, such as "apache-2.0"; None for "unknown".
        files: Names of exported files that are handed over with it.
        paths: A `PrivatePaths`; by default those of the run.

    Raises:
        RunError: The run is not finished, or its record is damaged.
        SettingError: The licence is no identifier.
    """
    if license is not None and not _LICENSE.fullmatch(license):
        raise SettingError(
            f"an identifier in small letters is expected, such as apache-2.0, got {license!r}",
            where="--license",
        )
    if not run.finished:
        raise RunError(
            "this run was interrupted before its end, so there is nothing to tell of it",
            where=run.path,
            remedy=f"Finish it first: foveate train --resume {run.quoted_path}",
        )
    results, data = run.results, run.data
    task, _ = run.load()
    if list(task.classes) != data["classes"]:
        raise record_io.damaged(run.weights, "its classes are not those of data.json")
    return ModelCard(
        run, task, results, data, paths or PrivatePaths.of(run), license or UNKNOWN_LICENSE, files
    )


def write_card(
    run: RunFolder,
    out: Path | None = None,
    *,
    license: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the model card of a run.

    Args:
        run: A finished run.
        out: The file; by default card.md in the run, where an earlier card is replaced.
        license: See `make_card`.
        overwrite: Whether an earlier card is replaced elsewhere, too.

    Returns:
        The path of the file.

    Raises:
        RunError: The run is not finished or damaged, or the file would replace something.
        SettingError: The licence is no identifier.
    """
    path = run.path / NAME if out is None else out
    text = make_card(run, license).render()
    check_output(path, KIND, option="--out", overwrite=overwrite or out is None)
    atomic_io.write_text(path, text)
    return path
