"""The card of a run: its result in numbers, its data, and its limits, as JSON values."""

from __future__ import annotations

from typing import Any

from foveate.data.dataset import SplitName
from foveate.experiment.limits import limits_of
from foveate.experiment.run_folder import RunFolder
from foveate.experiment.verdict import verdict_of
from foveate.metrics.names import title_name


def describe(run: RunFolder) -> dict[str, Any]:
    """What a person should know before they use the model, as JSON values.

    Returns:
        `model`, `size` (pixels), `headline`, `verdict` and `tone` of the report; `split`, on
        which `metric` was measured, with `value`, `low`, `high` and `n`; the best `baseline` with
        its `value`; `data` with the number of images of each split; `limits`, sentences.

    Raises:
        RunError: A record is missing or damaged, or the run is not finished.
    """
    results, data = run.results, run.data
    split: SplitName = "test" if results["test"] else "valid"
    task, net = run.load()
    verdict = verdict_of(run, results, split, task)
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
        "limits": [one.text for one in limits_of(run, results, data, task)],
    }
