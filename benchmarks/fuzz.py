"""`make fuzz`: mutated bodies for every page parser; only named errors may come out, and no record that the
body does not tell.

`python -m benchmarks.fuzz NAME NUMBER` tries one body again. MARICOPA_CAPTURES adds the captured answers to
the seeds.
"""

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from benchmarks.table import QUICK, Bench, Row
from tests.fuzz import run

BODIES = 5_000 if QUICK else 105_000
PIECE = 500
MOST_S = 480.0


def main(arguments: list[str]) -> int:
    if arguments:
        run.tries(arguments[0], int(arguments[1]), 1)
        return 0
    bench = Bench("fuzz")
    names = list(run.subjects())
    each = -(-BODIES // len(names))
    begun = time.monotonic()
    tallies = {name: run.Tally() for name in names}
    failures: list[str] = []
    pieces = [(name, first, min(PIECE, each - first)) for name in names for first in range(0, each, PIECE)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for (name, _, count), job in [(piece, pool.submit(run.tries, *piece)) for piece in pieces]:
            try:
                tally = job.result(timeout=max(1.0, MOST_S - (time.monotonic() - begun)))
            except run.Found as found:
                failures.append(str(found))
                print(f"  {found}", flush=True)
                continue
            tallies[name].records += tally.records
            tallies[name].errors += tally.errors
            assert count == tally.records + tally.errors.total()
    for name, tally in tallies.items():
        errors = ", ".join(f"{count} {kind}" for kind, count in tally.errors.most_common(3))
        bench.add(Row(name, f"{tally.records + tally.errors.total():,}: {tally.records:,} read, {errors}"))
    became = sum((Counter({"read": one.records}) + one.errors for one in tallies.values()), Counter[str]())
    done = became.total()
    bench.add(
        Row("what became of them", ", ".join(f"{count:,} {kind}" for kind, count in became.most_common()))
    )
    bench.add(
        Row(
            "mutated bodies",
            f"{done:,} in {time.monotonic() - begun:.0f} s",
            "",
            done,
            BODIES if not failures else None,
        )
    )
    bench.add(
        Row(
            "other exceptions, or records that the body does not tell",
            f"{len(failures)}",
            "",
            len(failures),
            0,
            at_most=True,
        )
    )
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
