"""How fast it is: figures beside a reference that is measured in the same run, for all parts or those that are named.

python -m tests.tools.benchmark [PART …] [--rounds N]

The figures are medians of N rounds, in which what is measured and its reference take turns. They are kept in
last_run.json, each part's in the place of its last ones, and the README's section is made anew from it.
"""

import argparse
import sys
import time
from collections.abc import Callable

from beefirst.evaluation.report.provenance import describe_host
from tests.tools.benchmark.beside_barest import barest
from tests.tools.benchmark.containers import compose, images
from tests.tools.benchmark.figures import Figure, keep, read_last_run
from tests.tools.benchmark.hashless import hashless
from tests.tools.benchmark.latency import latency
from tests.tools.benchmark.memory import memory
from tests.tools.benchmark.overload import overload
from tests.tools.benchmark.own_cost import own_cost
from tests.tools.benchmark.readme import write
from tests.tools.benchmark.starts import migrations, start, up
from tests.tools.benchmark.sweeping import sweep
from tests.tools.benchmark.throughput import activate, register

EVERY: tuple[Callable[[int], list[Figure]], ...] = (
    *(own_cost, hashless, register, activate, barest, latency, start, up, migrations, memory, overload, sweep),
    *(compose, images),
)
PARTS = {part.__name__: part for part in EVERY}


def main() -> int:
    """Measure, keep the figures, and return the status to end with."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.benchmark",
        description=__doc__.partition("\n")[0],
        epilog="All parts take about a quarter of an hour on a quiet machine with two cores. The figures are kept in a "
        "file that is committed, and README.md is changed accordingly, but with --dry.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS), choices=[[], *PARTS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print the figures, and keep none")
    options = parser.parse_args()
    host = describe_host()
    for name in options.parts or PARTS:
        part, began = PARTS[name], time.perf_counter()
        print(f"\n== {name}: {part.__doc__}", flush=True)
        figures = part(options.rounds)
        print(f"   {time.perf_counter() - began:.0f} s", flush=True)
        if not options.dry:
            keep({name: figures}, host)
    if not options.dry:
        write(read_last_run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
