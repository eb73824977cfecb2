"""An opening of the test split: noted in the ledger and the state folder, and reported."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.errors import StorageError
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.run_folder import RunFolder
from foveate.metrics import known_openings
from foveate.metrics.known_openings import Opening
from foveate.metrics.ledger import LedgerEntry
from foveate.metrics.names import display_name
from foveate.progress import Reporter
from foveate.report.panels import Notes, Panel, Table
from foveate.training.device import AUTO
from foveate.wording import count_noun, percent


def note_opening(run: RunFolder, prepared: PreparedData, reporter: Reporter) -> None:
    """Write an opening down before the test split is read, and tell of earlier ones.

    Raises:
        StorageError: The ledger cannot be written, so the test split stays locked.
    """
    if run.device is None and run.settings.device not in (AUTO, run.device_name):
        reporter.info(f"trained on {run.settings.device}, and tested on {run.device_name}")
    ledger, weights = run.ledger, run.weights_digest()
    entries = ledger.entries
    if before := len(entries):
        reporter.warning(
            f"The test split of this run was opened {_times(before)} "
            "before, for other weights. If those results led to what you changed since, this "
            "result is no longer one on unseen images."
        )
    images = [prepared.images.hashes[row] for row in prepared.splits["test"]]
    known: list[Opening] = []
    try:
        known = known_openings.find(images)
    except StorageError as error:
        reporter.warning(str(error))
    own = {(entry.opened, entry.weights) for entry in entries}
    earlier = [one for one in known if (one.opened, one.weights) not in own]
    if earlier:
        reporter.warning(describe_earlier(earlier, len(images)))
    entry = ledger.open(weights, earlier)
    try:
        known_openings.add(images, opened=entry.opened, run=run.path, weights=weights)
    except StorageError as error:
        reporter.warning(str(error))


def describe_earlier(earlier: list[Opening], images: int) -> str:
    """One sentence on earlier openings of the test images of a run.

    Args:
        earlier: At least one opening.
        images: The number of test images of the run.
    """
    last, most = earlier[-1], max(one.shared for one in earlier)
    return (
        f"{most:,} of these {count_noun(images, 'test image')} were opened before, "
        f"{_times(len(earlier))} (last on {last.opened} by "
        f"{last.run}). If that result led to a choice since, this one is no longer on unseen "
        "images."
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def ledger_panel(run: RunFolder) -> Panel:
    """What the report says of the test split."""
    entries, title = run.ledger.entries, "The test split"
    if not entries:
        return Notes(
            title, f"It is still locked. To open it, once: foveate test {run.quoted_path}", []
        )
    metric = run.results["primary"]
    rows = [
        [entry.opened, entry.weights[:12], _result(entry, metric), _earlier(entry)]
        for entry in entries
    ]
    columns = ["opened", "weights (sha256)", display_name(metric), "opened before by"]
    return Table(title, _history(run, entries), columns, rows, 3)


def _history(run: RunFolder, entries: Sequence[LedgerEntry]) -> str:
    if len(entries) > 1:
        text = "It was opened more than once: later results are optimistic."
    elif entries[0].earlier:
        text = "Its images were opened before by other runs: if that led to a choice, the result "
        text += "is optimistic."
    else:
        text = "It was opened once, as it should be."
    if any(entry.result is None for entry in entries):
        text += (
            " An opening was not completed: the process ended before its result was written. The "
            f"same weights give the same result: foveate test {run.quoted_path}"
        )
    return text


def _result(entry: LedgerEntry, metric: str) -> str:
    if entry.result is None:
        return "not completed"
    value = entry.result["metrics"][metric]["value"]
    return "–" if value is None else percent(value)


def _earlier(entry: LedgerEntry) -> str:
    if not entry.earlier:
        return "no other run known"
    last = entry.earlier[-1]
    more = f" and {len(entry.earlier) - 1} more" if len(entry.earlier) > 1 else ""
    return f"{last.run}, {last.opened} ({last.shared:,} images){more}"
