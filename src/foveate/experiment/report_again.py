"""Writing the report of a run again, from its record."""

from __future__ import annotations

from pathlib import Path

from foveate.errors import DataChanged, DataError
from foveate.experiment.data_place import Place, reopen_at
from foveate.experiment.prepared_data import PreparedData
from foveate.experiment.report import write_report
from foveate.experiment.run_folder import RunFolder
from foveate.progress import NullReporter, Reporter
from foveate.training.device import preserved_torch_state


def report(run: RunFolder, *, data: Place | None = None, reporter: Reporter | None = None) -> Path:
    """Write report.html again from the record. Images are left out if the data has changed.

    Args:
        run: A trained run.
        data: Where its data lies now, if it was moved.
        reporter: Receives why images are left out.

    Raises:
        RunError: The run is not finished, in use by another process, or `data` is other data.
        DataError: `data` cannot be read.
    """
    with run.locked(), preserved_torch_state():
        return write_again(run, data, reporter or NullReporter())


def write_again(run: RunFolder, data: Place | None, reporter: Reporter) -> Path:
    """Write the report of a run whose lock is held; see `report`."""
    try:
        prepared: PreparedData | None = reopen_at(run, data, reporter)
    except (DataError, DataChanged) as error:
        if data is not None:
            raise
        reporter.warning(f"the report is written without images. {error}")
        prepared = None
    return write_report(run, prepared)
