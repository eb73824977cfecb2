"""Intervals: their coverage is measured again, with few repeats, as benchmarks/coverage.py does."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lab import Lab, check_polite, require
from runner import Attack
from scipy.stats import binom

SCRIPT = Path(__file__).resolve().parents[1] / "coverage.py"
LEAST, REPEATS, RESAMPLES = 0.92, 60, 100
CHANCE = 1e-4
"""How improbable the number of misses must be before it counts as a failure."""


def measure() -> Any:
    """benchmarks/coverage.py as a module."""
    spec = importlib.util.spec_from_file_location("measured_coverage", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def coverage(lab: Lab, number: int) -> None:
    """One population and one design, drawn in turn."""

    def count() -> None:
        module = measure()
        cases = [(name, *design) for design in module.DESIGNS for name in module.POPULATIONS]
        name, n, groups = cases[number % len(cases)]
        population = module.POPULATIONS[name](np.random.default_rng([number, 1]))
        counts = module.coverage(population, n, groups, REPEATS, RESAMPLES)
        listed = {key: [c.tried, c.covering, c.rough] for key, c in counts.items()}
        print(json.dumps({"case": f"{name}, {n} images, {groups} groups", "counts": listed}))

    result = lab.run("coverage", function=count, seconds=600.0)
    check_polite(result, codes=(0,), limits=False)
    record = json.loads(result.out)
    few = [
        f"{name} {covering} of {tried}"
        for name, (tried, covering, rough) in record["counts"].items()
        if 2 * rough <= tried and binom.cdf(covering, tried, LEAST) < CHANCE
    ]
    require(not few, f"{record['case']}: the interval covers the true value too rarely: {few}")


ATTACKS = [
    Attack(
        "intervals-coverage",
        "a 95% interval covers the true value in 92% of repeats or more, or the report calls it "
        "rough",
        f"every metric and its lift at 30 to 300 images, with and without groups; {REPEATS} "
        "repeats each (benchmarks/coverage.py makes more)",
        coverage,
        most=66,
    ),
]
