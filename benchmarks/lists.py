"""`make bench-lists`: lists of 1,000,000 lines, next to the reader of one APN a line that came before; and
peak memory.

Ratios within one run, of the medians; each list is read by both in turn.
"""

import csv
import gzip
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.arguments import ApnList
from maricopa_scrapy.parsing.identifiers import parse_apn

LINES = 100_000 if QUICK else 1_000_000
ROUNDS = 1 if QUICK else 3
MEMORY_MB = 20
# In a process of its own, and not by getrusage, whose peak begins with that of the process that started it.
# Prints kB.
_PEAK = """
import sys
from maricopa_scrapy.arguments import ApnList
for _ in ApnList("apns", sys.argv[1]):
    pass
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def former(path: Path) -> Iterator[str]:
    """Yield the APNs of a list's first column, as the reader did that came before."""
    with path.open(encoding="utf-8-sig", newline=None) as file:
        for line in file:
            cell = _first_cell(line)
            if cell and cell != "APN":
                yield parse_apn(cell)


def _first_cell(line: str) -> str:
    text = line.split("#", 1)[0].strip().strip("\ufeff")
    for delimiter in ",;\t|":
        if delimiter in text:
            with suppress(csv.Error):
                text = next(csv.reader([text], delimiter=delimiter), [""])[0]
            break
    return text.strip().strip("'\"").strip()


def _apns(count: int) -> Iterator[str]:
    draw = random.Random(1)
    for _ in range(count):
        letter = draw.choice("        AB").strip()
        yield f"{draw.randint(100, 999)}-{draw.randint(0, 99):02d}-{draw.randint(0, 999):03d}{letter}"


FORMS: dict[str, tuple[str, Callable[[str], str]]] = {
    "one APN a line": ("", lambda apn: apn),
    "a CSV with a heading": ("APN,Owner,City\n", lambda apn: f"{apn},SMITH JOHN,PHOENIX"),
    "a CSV without one": ("", lambda apn: f"{apn},SMITH JOHN,PHOENIX"),
    "a CSV whose cells are quoted": ("APN,Owner,City\n", lambda apn: f'"{apn}","SMITH, JOHN","PHOENIX"'),
    "a CSV in cp1252, with priorities": ("APN,Owner,priority\n", lambda apn: f"{apn},PEÑA,normal"),
}


def write(path: Path, head: str, line: Callable[[str], str], count: int) -> None:
    with path.open("w", encoding="cp1252") as file:
        file.write(head)
        file.writelines(f"{line(apn)}\n" for apn in _apns(count))


def seconds(apns: Iterator[str]) -> float:
    begun = time.monotonic()
    count = sum(1 for _ in apns)
    if count != LINES:
        sys.exit(f"{count:,} APNs of {LINES:,} lines")
    return time.monotonic() - begun


def peak_mb(path: Path) -> float:
    return int(subprocess.check_output([sys.executable, "-c", _PEAK, str(path)])) / 1024


def main() -> int:
    bench = Bench("lists")
    with tempfile.TemporaryDirectory() as name:
        long, short = Path(name) / "long.csv", Path(name) / "short.csv"
        for form, (head, line) in FORMS.items():
            write(long, head, line, LINES)
            pairs = []
            for _ in range(ROUNDS):
                # The former one read UTF-8 alone.
                before = None if "cp1252" in form else seconds(former(long))
                pairs.append((seconds(iter(ApnList("apns", str(long)))), before))
            ours = statistics.median(one for one, _ in pairs)
            theirs = [other for _, other in pairs if other is not None]
            what = f"{LINES:,} lines, {form}"
            if theirs:
                peer = statistics.median(theirs)
                bench.add(
                    Row(
                        f"{what}, against the former reader",
                        f"{ours:.2f} s",
                        f"{peer:.2f} s",
                        ours / peer,
                        3,
                        at_most=True,
                    )
                )
            else:
                bench.add(Row(what, f"{ours:.2f} s"))
        write(short, *FORMS["a CSV whose cells are quoted"], LINES // 100)
        packed = Path(name) / "long.csv.gz"
        write(long, *FORMS["a CSV whose cells are quoted"], LINES)
        packed.write_bytes(gzip.compress(long.read_bytes(), 1))
        least = peak_mb(short)
        for path, what in ((long, "of it"), (packed, "of it as .gz")):
            more = peak_mb(path) - least
            row = f"peak memory {what} over that of a hundredth, MB"
            bench.add(Row(row, f"{more:.1f} MB", f"{MEMORY_MB} MB", more, MEMORY_MB, at_most=True))
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
