"""The card of a run: its result in numbers, its data, and what it was not tested on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveate.data.dataset import SplitName
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.verdict import judge
from foveate.metrics.names import title_name
from foveate.settings import Settings
from foveate.wording import count_noun, list_some

FEW_IMAGES = 10
"""Images of a class in the evaluated split below which it is named as hardly tested."""


def describe(run: RunFolder) -> dict[str, Any]:
    """What a person should know before they use the model, as JSON values.

    Returns:
        `model`, `size` (pixels), `headline`, `verdict` and `tone` of the report; `split`, on
        which `metric` was measured, with `value`, `low`, `high` and `n`; the best `baseline` with
        its `value`; `data` with the number of images of each split; `not_tested`, sentences.

    Raises:
        RunError: A record is missing or damaged, or the run is not finished.
    """
    results, data = run.results, run.data
    split: SplitName = "test" if results["test"] else "valid"
    task, net = run.load()
    verdict = judge(run, results, split, task)
    metric, baseline = results[split][results["primary"]], results["best_baseline"]
    return {
        "model": results["model"],
        "size": net.size,
        "headline": verdict.headline,
        "verdict": verdict.sentence,
        "tone": verdict.tone,
        "split": split,
        "metric": {
            "name": title_name(results["primary"]),
            **{key: metric.get(key) for key in ("value", "low", "high", "n", "rough")},
        },
        "baseline": {
            "name": baseline,
            "value": results["baseline"][split][baseline][results["primary"]]["value"],
        },
        "data": {"name": data["name"], "images": data["images"]},
        "not_tested": _not_tested(data, split, metric, run.settings),
    }


def _not_tested(
    data: Mapping[str, Any], split: SplitName, metric: Mapping[str, Any], settings: Settings
) -> list[str]:
    """What the result says nothing about, most important first."""
    name, sentences = data["name"], []
    where = "test split" if split == "test" else "validation split"
    if split == "valid":
        sentences.append(
            "Images that had no part in its choice: the test split is still locked, and the result "
            "is of the validation split, by which the weights were chosen."
        )
    sentences.append(
        f"Images from elsewhere: all {count_noun(metric['n'], 'image')} of the {where} are "
        f"of {name}. Another camera, place or time can change the result."
    )
    if settings.time_by is None:
        sentences.append("Later images: the splits were not made by time.")
    if settings.group_by is None and "groups" not in metric:
        sentences.append(
            "New patients, places or videos as such: images were not kept together by group, "
            "unless the data brought its own splits."
        )
    if data["leaks"]:
        alike = len({id for leak in data["leaks"] for id in leak["ids"]})
        sentences.append(
            f"Unseen images alone: {count_noun(alike, 'image')} of several splits are the same or "
            "nearly so."
        )
    counts = dict(zip(data["classes"], data["counts"][split], strict=True))
    if rare := [name for name, count in counts.items() if count < FEW_IMAGES]:
        sentences.append(
            f"Rare classes: fewer than {FEW_IMAGES} images in the {where} of {list_some(rare)}."
        )
    if data["skipped"]:
        count = count_noun(len(data["skipped"]), "image")
        sentences.append(f"The {count} that could not be used.")
    return sentences
