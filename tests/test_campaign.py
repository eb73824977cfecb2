"""The attack campaign runs: one attack of each way is made, so that none of them rots."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).resolve().parents[1] / "benchmarks" / "campaign"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(sys, "addaudithook") or sys.platform != "linux", reason="Linux")
def test_one_attack_of_each_way_fails(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, CAMPAIGN, "--count", "1", "--failures", tmp_path / "failures.md"],
        capture_output=True,
        text=True,
        check=False,
    )
    failures = tmp_path / "failures.md"
    assert done.returncode == 0, failures.read_text() if failures.exists() else done.stderr
    assert ", 0 failed" in done.stdout
