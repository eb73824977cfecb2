"""What a run knows against its model: where not to trust it, for every card and page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foveate.data.dataset import SplitName
from foveate.experiment.run_folder import RunFolder
from foveate.tasks.task import Task
from foveate.wording import count_noun, list_some, percent

FEW_IMAGES = 10
"""Images of a class in the evaluated split below which it is named as hardly tested."""
WEAKEST = 5
"""Classes that are named as the weakest."""
SPLIT_NAMES: Mapping[SplitName, str] = {"train": "train", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class Limit:
    """One reason not to trust a model.

    Attributes:
        text: A sentence or two.
        example: The first case, with names of the user's images; empty if there is none.
    """

    text: str
    example: str = ""


def limits_of(
    run: RunFolder, results: Mapping[str, Any], data: Mapping[str, Any], task: Task[Any]
) -> list[Limit]:
    """The limits of a model, most important first.

    Args:
        run: A finished run.
        results: The contents of results.json.
        data: The contents of data.json.
        task: The task of the run.

    Raises:
        RunError: A record is missing or damaged.
    """
    split: SplitName = "test" if results["test"] else "valid"
    return [
        *_opened(run, split),
        *_not_tested(run, results, data, split),
        *_classes(run, data, task, split),
        *_data(data),
        *(
            Limit(f"The curve doctor: {verdict['name']}. {verdict['text']}")
            for verdict in results["verdicts"]
            if verdict["tone"] != "good"
        ),
    ]


def _opened(run: RunFolder, split: SplitName) -> Iterator[Limit]:
    if split == "valid":
        yield Limit(
            "It was not tested: the test split is still locked. The result is of the validation "
            "split, by which the weights were chosen."
        )
    elif (openings := len(run.ledger.entries)) > 1:
        yield Limit(f"The test split was opened {openings} times, so its metrics are optimistic.")


def _not_tested(
    run: RunFolder, results: Mapping[str, Any], data: Mapping[str, Any], split: SplitName
) -> Iterator[Limit]:
    metric = results[split][results["primary"]]
    yield Limit(
        f"It was not tested on images from elsewhere: all {count_noun(metric['n'], 'image')} of "
        f"the {SPLIT_NAMES[split]} split are of {data['name']}. Other cameras, places, times or "
        "people can change the result, and so can damaged images and objects of a class that it "
        "does not know."
    )
    if run.settings.time_by is None:
        yield Limit("It was not tested on later images: the splits were not made by time.")
    if run.settings.group_by is None and "groups" not in metric:
        yield Limit(
            "It was not tested on new patients, places or videos as such: images were not kept "
            "together by group, unless the data brought its own splits."
        )


def _classes(
    run: RunFolder, data: Mapping[str, Any], task: Task[Any], split: SplitName
) -> Iterator[Limit]:
    if weakest := _weakest(run, task, split):
        yield Limit(weakest)
    rare = [
        f"{name} ({counted})"
        for name, counted in zip(data["classes"], data["counts"][split], strict=True)
        if counted < FEW_IMAGES
    ]
    if rare:
        yield Limit(
            f"Fewer than {FEW_IMAGES} {SPLIT_NAMES[split]} images have these classes, so little "
            f"is known of them: {list_some(rare)}."
        )


def _data(data: Mapping[str, Any]) -> Iterator[Limit]:
    if leaks := data["leaks"]:
        alike = len({id for leak in leaks for id in leak["ids"]})
        yield Limit(
            f"Its metrics are partly memory: {count_noun(alike, 'image')} of several splits are "
            "the same or nearly so (--allow-leak).",
            f"The first: {leaks[0]['reason']}: {', '.join(leaks[0]['ids'][:2])}.",
        )
    if skipped := data["skipped"]:
        yield Limit(
            f"{count_noun(len(skipped), 'image')} could not be used, and the data lacks them.",
            f"The first: {skipped[0]['id']}: {skipped[0]['reason']}.",
        )
    for found in data["audit"]:
        yield Limit(
            f"The audit of the data found {found['check']} ({found['severity']}).",
            f"{found['first']}.",
        )


def _weakest(run: RunFolder, task: Task[Any], split: SplitName) -> str:
    """The classes with the lowest metric."""
    metric, values = task.class_values(run.read_predictions(split)[1]) or ("", [])
    known = sorted(
        (value, name)
        for name, value in zip(task.classes, values, strict=False)
        if not math.isnan(value)
    )
    if len(known) < 2:
        return ""
    listed = ", ".join(f"{name} {percent(value)}" for value, name in known[:WEAKEST])
    return f"Its weakest classes on the {SPLIT_NAMES[split]} split, by {metric}: {listed}."
