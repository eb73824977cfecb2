"""Step 6, once: the locked test split is opened, and that is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from foveate import processes
from foveate.errors import RunError, StorageError
from foveate.experiment import ranks
from foveate.experiment.data_place import Place, reopen_at
from foveate.experiment.evaluate import evaluate, fit_evaluator, score_baselines
from foveate.experiment.openings import note_opening
from foveate.experiment.report import write_report
from foveate.experiment.report_again import write_again
from foveate.experiment.run_folder import RunFolder
from foveate.metrics.ledger import LedgerEntry
from foveate.progress import NullReporter, Reporter
from foveate.training import helping
from foveate.training.device import preserved_torch_state


def test(
    run: RunFolder, *, data: Place | None = None, reporter: Reporter | None = None
) -> Mapping[str, Any]:
    """Open the locked test split, and record that in the ledger.

    The same weights are tested once: asked again, the first result is returned, so that nobody can
    draw until a lucky one comes. The ledger notes the opening before the test split is read.

    Args:
        run: A trained run.
        data: Where its data lies now, if it was moved.
        reporter: Receives the progress.

    Returns:
        Each metric with value, low, high and n.

    Raises:
        RunError: The run is not finished or in use, the weights are damaged, or the data has
            changed.
    """
    reporter = reporter or NullReporter()
    with preserved_torch_state(), ranks.connected(run.device_name):
        if not processes.is_main():
            ranks.join_test(run, data)
            return processes.broadcast({})
        with run.locked():
            return processes.broadcast(_test(run, data, reporter))


def _test(run: RunFolder, data: Place | None, reporter: Reporter) -> Mapping[str, Any]:
    """Open the test split, or give the result of the first time."""
    if not run.finished:
        raise RunError(
            "this run was interrupted before its end, so there is no final model to test",
            where=run.path,
            remedy=f"Finish it first: foveate train --resume {run.quoted_path}",
        )
    run.load()  # damaged weights must not open the test split
    entry = run.ledger.find(run.weights_digest())
    if entry is not None and entry.result is not None:
        reporter.info(
            f"These weights were tested on {entry.opened}; this is that result. "
            "A test split is opened once."
        )
        if restore_test(run) or data is not None:
            with helping.helped():
                write_again(run, data, reporter)
        ranks.announce(run, None)
        return cast(dict[str, Any], entry.result["metrics"])
    try:
        return _open_test(run, entry, data, reporter)
    except StorageError as error:
        if run.ledger.find(run.weights_digest()) is None:
            raise error.with_advice(
                "The test split is still locked. Then give the same command again."
            ) from None
        raise error.with_advice(
            "The ledger keeps the opening, and the same weights give the same result: then "
            f"complete it with foveate test {run.quoted_path}"
        ) from None


def _open_test(
    run: RunFolder, entry: LedgerEntry | None, data: Place | None, reporter: Reporter
) -> Mapping[str, Any]:
    """Evaluate on the test split; `entry` is an opening that was not completed, if there is one."""
    with helping.helped():
        prepared = reopen_at(run, data, reporter)
    if entry is None:
        note_opening(run, prepared, reporter)
    else:
        reporter.warning(f"an opening of {entry.opened} was not completed; it is completed now")
    ranks.announce(run, prepared)
    fit_evaluator(run, prepared, reporter)
    baselines = score_baselines(run, prepared, "test", reporter)
    results = evaluate(run, prepared, "test", baselines)
    result = {
        "metrics": results["test"],
        "baseline": results["baseline"]["test"],
        "lift": results["lift"]["test"],
    }
    run.ledger.complete(run.weights_digest(), result)
    run.save_results(results)
    write_report(run, prepared)
    processes.wait()
    return cast(dict[str, Any], result["metrics"])


def restore_test(run: RunFolder) -> bool:
    """Take the test result from the ledger into results.json, if it is missing there."""
    results, entry = run.results, run.ledger.find(run.weights_digest())
    if entry is None or entry.result is None or results["test"] == entry.result["metrics"]:
        return False
    results["test"] = entry.result["metrics"]
    results["baseline"]["test"] = entry.result["baseline"]
    results["lift"]["test"] = entry.result["lift"]
    run.save_results(results)
    return True
