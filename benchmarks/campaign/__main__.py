"""The attack campaign: every promise of foveate, attacked in many ways, and counted.

    python benchmarks/campaign                        # everything, about an hour on two cores
    python benchmarks/campaign --only kills --minutes 5
    python benchmarks/campaign --only kills-train --first 17 --count 1 --keep   # one attack again

Seeds are fixed: an attack of the same name and number is the same attack. A part of what happens
depends on the machine all the same: when a signal arrives, and which of two processes is first.
Prints the table of docs/reliability.md, and exits with code 1 if a promise does not hold. Attacks
on full disks mount small file systems in memory, which only root can; else they are skipped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path


def main() -> int:
    """Make the attacks, print the table, and list the failures."""
    options = _parse()
    # Read when torch and matplotlib are imported; a fork must find no threads in its parent.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", MPLBACKEND="agg")
    import materials
    import runner
    import table

    attacks = runner.all_attacks(options.only)
    root = Path(tempfile.mkdtemp(prefix="foveate-campaign-"))
    os.nice(10)
    try:
        runner.import_foveate()
        made = materials.make(options.materials or root / "materials")
        before = materials.fingerprint(made)
        outcomes = runner.make_all(
            attacks, root, made, minutes=options.minutes, count=options.count,
            first=options.first, cores=options.cores, keep=options.keep,
        )  # fmt: skip
        if materials.fingerprint(made) != before:
            print("An attack has changed what others share; do not trust this campaign.")
            return 2
        rows = table.rows(attacks, outcomes)
        failed = table.write_failures(outcomes, options.failures)
        print(table.markdown(rows))
        tried = sum(one.outcome != "skipped" for one in outcomes)
        for reason in sorted({one.detail for one in outcomes if one.outcome == "skipped"}):
            print(f"skipped: {reason}")
        listed = f", listed in {options.failures}" if failed else ""
        print(f"\n{tried:,} attacks, {failed:,} failed{listed}")
        return 1 if failed else 0
    finally:
        if options.keep:
            print(f"folders of failed attacks: {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="attack every promise of foveate")
    parser.add_argument("--minutes", type=float, default=60.0, help="time for all attacks")
    parser.add_argument("--only", nargs="+", default=[], help="kinds or names of attacks")
    parser.add_argument("--count", type=int, help="so many of each attack, instead of a time")
    parser.add_argument("--first", type=int, default=0, help="number of the first attack")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="attacks at once")
    parser.add_argument(
        "--materials", type=Path, help="folder of data and runs, made there if it is new"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed attacks")
    parser.add_argument(
        "--failures", type=Path, default=Path("campaign-failures.md"), help="where they are listed"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
