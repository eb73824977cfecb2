"""Does the curve doctor read learning curves correctly? Real runs, each made to show one verdict.

    python benchmarks/curves.py make --data DIR --work WORK    # trains; goes on where it stopped
    python benchmarks/curves.py check --data DIR --work WORK   # out-of-fold evidence on the labels
    python benchmarks/curves.py label --work WORK              # writes what the tests replay
    python benchmarks/curves.py table                          # the confusion matrices

DIR holds mnist/, cifar10/ (folders train/ and test/), flowers/ and sign_digits/; digits and scenes
are built in. Each run goes through foveate's own steps: collect, audit, split, train. A run's label
is what it was made to show, if its held-out images agree. They are up to 600 images that neither
training nor the validation curve saw, and the rule was written before any run was made. With the
kept weights, let `gap` be the metric on the train images less that on the held-out ones, and `lost`
the held-out metric of the best run on as many or more train images of the same data and seed, or
from pretrained weights on the same data, less its own:

- made for "overfitting": the gap is at least 10 points, or the held-out loss of the last weights is
  at least 10% above that of the kept ones;
- made for "underfitting", "learning rate too high", "learning rate too low" or "still improving":
  at least 5 points are lost, and the gap is below 10;
- made for "label noise likely": 25% of the labels are replaced by others. Always so;
- made for "healthy": the gap is below 10 points, and less than 5 are lost.

A run that fails its rule is "overfitting" or "healthy" if it meets the rule of that one, and is
left out otherwise; `table` names those. Two rules were added when the runs of the tuned half had
been made: pretrained weights as a reference, and that nothing is healthy where no run of the same
data reaches a held-out metric of 0.5.

The doctor's rules were chosen on the runs of digits, sign_digits, semantic scenes and the first
seed of all others. The held-out runs, other seeds of mnist, cifar10 and flowers, were made
afterwards; benchmarks/README.md says what they changed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curve_runs import CLASSIFIED, check_all, label_key, load, make_all, plans, rounded, save

RECORD = Path(__file__).parents[1] / "tests" / "training" / "learning_curves.json"
TUNED_ON = ("digits", "sign_digits", "scenes-semantic")
GAP, LOST, ROSE, LEARNT = 0.10, 0.05, 1.10, 0.5


# --- labels


def labelled(runs: Sequence[dict[str, Any]], checks: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The record of each run that the doctor is tested on; `label` is None for those left out."""
    records = []
    for run in runs:
        key = label_key(run["data"], run["seed"], run["images"]["train"], run["noise"])
        rows = run["rows"]
        records.append(
            {
                "name": run["name"],
                "half": half(run),
                "meant": run["meant"],
                "label": label(run, runs),
                "how": {**run["settings"], "images": run["images"], "noise": run["noise"]},
                "floor": rounded(max(run["floor"], 0.0)),
                "fitted": run["held_out"] and run["held_out"]["train"],
                "held_out": run["held_out"],
                "label_evidence": checks.get(key),
                "curves": {name: [row[name] for row in rows] for name in rows[0]},
            }
        )
    return records


def half(run: Mapping[str, Any]) -> str:
    first = run["seed"] == 0 and run["data"] in CLASSIFIED
    return "tuned" if first or run["data"] in TUNED_ON else "held out"


def label(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str | None:
    """The verdict that a run deserves by the rule above."""
    meant: str = run["meant"]
    found = run["held_out"]
    if run["noise"] or found is None:
        return meant
    # A pretrained net needs fewer images, so it is a reference for every seed.
    others = [
        other["held_out"]["held_out"]
        for other in runs
        if other["data"] == run["data"]
        and other["noise"] == 0
        and other["held_out"] is not None
        and (
            other["condition"] == "pretrained"
            or (other["seed"] == run["seed"] and other["images"]["train"] >= run["images"]["train"])
        )
    ]
    gap, lost = found["train"] - found["held_out"], max(others) - found["held_out"]
    floor = run["floor"]
    rose = found["last_loss"] - floor > ROSE * (found["loss"] - floor)
    healthy = gap < GAP and lost < LOST and max(others) >= LEARNT
    rules = {"overfitting": gap >= GAP or rose, "healthy": healthy}
    if rules.get(meant, gap < GAP and lost >= LOST):
        return meant
    return next((name for name, holds in rules.items() if holds), None)


# --- table


def said(record: Mapping[str, Any]) -> list[str]:
    """The names of the doctor's verdicts on a recorded run."""
    from foveate.training.doctor import LabelEvidence, diagnose

    curves = {
        name: [math.nan if value is None else value for value in values]
        for name, values in record["curves"].items()
    }
    rows = [dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)]
    metric = next(name[6:] for name in curves if name.startswith("valid_") and name != "valid_loss")
    found = record["label_evidence"]
    verdicts = diagnose(
        rows,
        metric=metric,
        floor=record["floor"],
        fitted=record["fitted"],
        valid_images=record["how"]["images"]["valid"],
        check_labels=lambda: None if found is None else LabelEvidence(**found),
    )
    return [verdict.name for verdict in verdicts]


def table(records: Sequence[Mapping[str, Any]], half: str) -> str:
    """The confusion matrix of one half, in Markdown: rows are labels, columns first verdicts."""
    pairs = Counter(
        (record["label"], said(record)[0])
        for record in records
        if record["half"] == half and record["label"] is not None
    )
    order = [*dict.fromkeys(plan.meant for plan in plans()), "too short to judge"]
    columns = [name for name in order if any(verdict == name for _, verdict in pairs)]
    right = sum(count for (wanted, verdict), count in pairs.items() if wanted == verdict)
    lines = [
        f"| {half}: {right} of {sum(pairs.values())} right | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for wanted in order:
        if any(name == wanted for name, _ in pairs):
            counts = [str(pairs[wanted, column] or "") for column in columns]
            lines.append(f"| {wanted} | {' | '.join(counts)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="train the runs")
    making.add_argument("--only", default="", help="part of the name of the runs to make")
    checking = commands.add_parser("check", help="cross-validate a probe on the labels of each run")
    for command in (making, checking):
        command.add_argument("--data", type=Path, required=True)
        command.add_argument("--work", type=Path, required=True, help="folder of what is made")
    labelling = commands.add_parser("label", help="write the record that the tests replay")
    labelling.add_argument("--work", type=Path, required=True)
    commands.add_parser("table", help="print the confusion matrices of the record")
    given = parser.parse_args()
    if given.command == "make":
        make_all(given.data, given.work / "runs.json", given.only)
    elif given.command == "check":
        check_all(given.data, given.work / "runs.json", given.work / "labels.json")
    elif given.command == "label":
        checks = json.loads((given.work / "labels.json").read_text())
        save(RECORD, labelled(load(given.work / "runs.json"), checks))
    else:
        records = load(RECORD)
        for half in ("tuned", "held out"):
            print(table(records, half), end="\n\n")
        left_out = [record["name"] for record in records if record["label"] is None]
        print(f"left out, {len(left_out)}: {', '.join(left_out)}")
        for record in records:
            names = said(record)
            if record["label"] not in (None, names[0]):
                print(f"{record['half']}: {record['name']}: {record['label']}, not {names}")


if __name__ == "__main__":
    main()
