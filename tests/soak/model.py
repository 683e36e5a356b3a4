"""Random histories of a bucket over the product in memory: what `tests/model/machine.py` says, many times.

    python tests/soak/model.py [--histories 600] [--steps 50] [--seed 0]

Prints how often each rule was a step, and what came of the runs; a history that breaks an invariant is shrunk and printed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/ is not installed

from tests.model.machine import Machine
from tests.model.runs import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Random histories of a bucket over the product in memory.")
    parser.add_argument("--histories", type=int, default=600)
    parser.add_argument("--steps", type=int, default=50, help="of each history, at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = run(Machine, given.histories, given.steps, given.seed, shrink=True)
    steps = sum(count for what, count in counts.items() if what.startswith("steps: "))
    print(*(f"{count:6} {what}" for what, count in sorted(counts.items())), sep="\n")
    print(f"seed {given.seed}: {steps} steps; after each quiet step the table follows from the bucket")


if __name__ == "__main__":
    main()
