"""Whether two runs, or two trees of files, are the same."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARYING = {"seconds"}
"""Keys of records that tell of time, not of the result."""

MAX_HASHED_BYTES = 1 << 28
"""Size above which a file (one of the attacks is a hole of 20 GB) is compared by size and time."""


def tree(folder: Path) -> dict[str, str]:
    """Every name below a folder with what it is: a digest, the target of a link, a kind."""
    found: dict[str, str] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root) / name
            found[str(path.relative_to(folder))] = describe(path)
    return found


def describe(path: Path) -> str:
    """What is at a path, without following a link or waiting for a pipe."""
    status = path.lstat()
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if stat.S_ISREG(mode) and status.st_size > MAX_HASHED_BYTES:
        return f"{status.st_size} bytes, changed at {status.st_mtime_ns}"
    if stat.S_ISREG(mode):
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return "folder" if stat.S_ISDIR(mode) else f"special {stat.S_IFMT(mode):o}"


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What was changed, removed or added, in words."""
    return [
        *(f"changed {name}" for name in before if name in after and before[name] != after[name]),
        *(f"removed {name}" for name in before if name not in after),
        *(f"added {name}" for name in after if name not in before),
    ]


def run_differences(run: Path, reference: Path, *, places: bool = True) -> list[str]:
    """How a run differs from another in what must be equal: weights, metrics, names of files.

    Args:
        run: A run folder.
        reference: The run that was never disturbed.
        places: Whether the records of settings and data, which hold paths, must be equal, too.
    """
    names = {path.name for path in run.iterdir()}
    expected = {path.name for path in reference.iterdir()}
    found = [f"foreign file {name}" for name in sorted(names - expected)]
    found += [f"missing file {name}" for name in sorted(expected - names)]
    for name in sorted(names & expected):
        if name in ("report.html", "test_ledger.json"):
            continue
        if not places and name in ("config.yaml", "data.json"):
            continue
        try:
            equal = content(run / name) == content(reference / name)
        except (ValueError, KeyError, OSError, struct.error) as error:
            found.append(f"{name} is damaged ({error})")
            continue
        if not equal:
            found.append(f"{name} differs")
    if "report.html" in names and not (run / "report.html").read_bytes().rstrip().endswith(
        b"</html>"
    ):
        found.append("report.html is cut")
    return found


def content(path: Path) -> object:
    """What a record says, without times and places."""
    if path.suffix == ".json":
        return _without(json.loads(path.read_text("utf-8")))
    if path.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(path.read_text("utf-8")))
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    if path.suffix == ".safetensors":
        return _tensors(path.read_bytes())
    return path.read_bytes()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [_without(item) for item in value]
    return value


def _tensors(data: bytes) -> object:
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    record = {
        key: _without(json.loads(text)) for key, text in header.pop("__metadata__", {}).items()
    }
    return header, record, hashlib.sha256(data[8 + length :]).hexdigest()
