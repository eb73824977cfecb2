"""Does the curve doctor read learning curves correctly? Real runs, each made to show one verdict.

    python benchmarks/curves.py make --data DIR    # trains what the record lacks
    python benchmarks/curves.py table              # the confusion matrices

The record, tests/training/learning_curves.json, is what the tests replay. DIR holds mnist/,
fashion/, cifar10/ (folders train/ and test/), flowers/, sign_digits/, bccd/, raccoon/, isbi2012/
and nuclei/; digits, scenes and duos are built in. Each run goes through foveate's own steps:
collect, audit, split, train. A run's label is what it was made to show, if its held-out images
agree. They are up to 600 images that neither training nor the validation curve saw, and the rule
was written before any run was made. With the kept weights, let `gap` be the metric on the train
images less that on the held-out ones, and `lost` the held-out metric of the best run on as many or
more train images of the same data and seed, or from pretrained weights on the same data, less its
own:

- made for "overfitting": the gap is at least 10 points, or the held-out loss of the last weights is
  at least 10% above that of the kept ones;
- made for "underfitting", "learning rate too high", "learning rate too low" or "still improving":
  at least 5 points are lost, and the gap is below 10;
- made for "label noise likely": 25% of the labels are replaced by others. Always so;
- made for "healthy": the gap is below 10 points, and less than 5 are lost;
- made for "worse from the start": the kept weights are those of the first validation, and the last
  ones are at least 5 points worse on the held-out images.

A run that fails its rule is "overfitting" if its gap is at least 10 points, "healthy" if it meets
that rule, and is left out otherwise; `table` names those. Two rules were added when 76 runs had
been made: pretrained weights as a reference, and that nothing is healthy where no run of the same
data reaches a held-out metric of 0.5. The last rule above came when 113 had been labelled.

The doctor's rules were chosen on the tuned runs; nobody looked at the held-out ones, of other nets,
sizes and seeds, before the rules stood. benchmarks/README.md says what they showed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curve_plans import WORSE, plans
from curve_runs import make

RECORD = Path(__file__).parents[1] / "tests" / "training" / "learning_curves.json"
NONE = "no clear verdict"
GAP, LOST, ROSE, LEARNT = 0.10, 0.05, 1.10, 0.5


# --- labels


def label(record: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str | None:
    """The verdict that a run deserves by the rule above; None for one that is left out."""
    meant: str = record["meant"]
    found, noise = record["held_out"], record["how"]["noise"]
    if noise or found is None:
        return meant
    data, _, seed = record["name"].rsplit(" ", 2)
    # A pretrained net needs fewer images, so it is a reference for every seed.
    others = [
        other["held_out"]["held_out"]
        for other in records
        for other_data, condition, other_seed in [other["name"].rsplit(" ", 2)]
        if other_data == data
        and other["how"]["noise"] == 0
        and other["held_out"] is not None
        and (condition == "pretrained" or (other_seed == seed and images(other) >= images(record)))
    ]
    gap, lost = found["train"] - found["held_out"], max(others) - found["held_out"]
    floor = record["floor"]
    rose = found["last_loss"] - floor > ROSE * (found["loss"] - floor)
    healthy = gap < GAP and lost < LOST and max(others) >= LEARNT
    if meant == WORSE and unmoved(record) and found["held_out"] - found["last_held_out"] >= LOST:
        return meant
    rules = {"overfitting": gap >= GAP or rose, "healthy": healthy, WORSE: False}
    if rules.get(meant, gap < GAP and lost >= LOST):
        return meant
    return "overfitting" if gap >= GAP else "healthy" if healthy else None


def images(record: Mapping[str, Any]) -> int:
    count: int = record["how"]["images"]["train"]
    return count


def unmoved(record: Mapping[str, Any]) -> bool:
    """Whether the kept weights are the first that were validated."""
    losses = [math.inf if loss is None else loss for loss in record["curves"]["valid_loss"]]
    return losses.index(min(losses)) == 0


# --- table


def said(record: Mapping[str, Any]) -> list[str]:
    """The names of the doctor's verdicts on a recorded run."""
    from foveate.metrics.best_weights import LOSS
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
        perfect=record["perfect"],
        pretrained=record["pretrained"],
        kept_by=record.get("kept_by", LOSS),  # older records are all of the lowest loss
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
    right = sum(count for (wanted, verdict), count in pairs.items() if wanted == verdict)
    none = sum(count for (_, verdict), count in pairs.items() if verdict == NONE)
    wrong = sum(pairs.values()) - right - none
    order = [*dict.fromkeys(plan.meant for plan in plans()), NONE]
    columns = [name for name in order if any(verdict == name for _, verdict in pairs)]
    lines = [
        f"| {half}: {right} right, {none} none, {wrong} wrong | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for wanted in order:
        if any(name == wanted for name, _ in pairs):
            counts = [str(pairs[wanted, column] or "") for column in columns]
            lines.append(f"| {wanted} | {' | '.join(counts)} |")
    return "\n".join(lines)


def load() -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(RECORD.read_text())
    return records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="train the runs that are not in the record")
    making.add_argument("--data", type=Path, required=True)
    making.add_argument("--only", default="", help="part of the name of the runs to make")
    commands.add_parser("table", help="print the confusion matrices of the record")
    given = parser.parse_args()
    records = load()
    if given.command == "make":
        for plan in plans():
            if given.only in plan.name and all(plan.name != one["name"] for one in records):
                made = make(plan, given.data)
                if made is None:
                    print(plan.name, "diverged before the first validation")
                    continue
                records.append(made)
                for record in records:
                    record["label"] = label(record, records)
                RECORD.write_text(
                    "[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n"
                )
                print(plan.name, made["label"], made["held_out"], made["seconds"], flush=True)
    else:
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
