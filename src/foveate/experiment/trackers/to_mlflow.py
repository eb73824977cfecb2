"""MLflow, at the address of MLFLOW_TRACKING_URI, or else in a database of the working folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foveate.experiment.trackers.tracker import Tracker

EXPERIMENT = "foveate"
"""Where runs are listed, unless MLFLOW_EXPERIMENT_NAME names another."""
_MAX_PARAM = 500  # characters


class MLflow(Tracker):
    """One run of MLflow.

    Args:
        client: Of MLflow.
        run_id: Of the run.
        address: Of the server or the database.
    """

    def __init__(self, client: Any, run_id: str, address: str):
        self._client, self._id = client, run_id
        self.where = _without_password(address)
        self.record = {"id": run_id, "uri": self.where}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        for name, value in values.items():
            self._client.log_metric(self._id, name, value, step=step)

    def finish(self, files: Sequence[Path]) -> None:
        """Keep the files as artifacts, and end the run."""
        for path in files:
            self._client.log_artifact(self._id, str(path))
        self._client.set_terminated(self._id, "FINISHED")

    def stop(self) -> None:
        """Mark the run as stopped."""
        self._client.set_terminated(self._id, "KILLED")


def _without_password(address: str) -> str:
    """The address as it may be shown and stored."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", address)


def open_tracker(
    run: Path, config: Mapping[str, Any], recorded: Mapping[str, str] | None, step: int
) -> MLflow:
    """Open the recorded run, or begin one in the experiment."""
    del step  # MLflow shows the last value of a step
    # A server that is gone must not hold up the training for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # which is on by default
    import mlflow

    address = _whole(mlflow.get_tracking_uri())
    if recorded and recorded["uri"] != _without_password(address):
        address = recorded["uri"]
    client = mlflow.MlflowClient(tracking_uri=address)
    if recorded:
        client.update_run(recorded["id"], status="RUNNING")
        return MLflow(client, recorded["id"], address)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    run_id = client.create_run(experiment_id, run_name=run.name).info.run_id
    for key, value in config.items():
        client.log_param(run_id, key, str(value)[:_MAX_PARAM])
    return MLflow(client, run_id, address)


def _whole(address: str) -> str:
    """A database of the working folder by its whole path, as a resume may begin elsewhere."""
    before, slashes, name = address.partition("sqlite:///")
    if before or not slashes or name.startswith("/"):
        return address
    return f"sqlite:///{Path(name).absolute()}"
