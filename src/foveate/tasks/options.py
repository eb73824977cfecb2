"""The options of a task as its constructor declares them, checked when they come from a file."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, get_type_hints

from foveate import record_io


def checked_options(task: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the types that a task's constructor declares.

    Args:
        task: The class of the task.
        options: By name.

    Raises:
        ValueError: They do not fit.
    """
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(task.__init__, include_extras=True)
    names = [name for name in signature(task).parameters if name != "classes"]
    config = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
    fields: dict[str, Any] = {name: (hints[name], None) for name in names}
    schema = create_model(f"{task.__name__}Options", __config__=config, **fields)
    checked = record_io.validated(schema, options)
    return {name: getattr(checked, name) for name in options}
