"""`make bench`: every bench, one after another, and then all their figures as one table, in README.md between
two marks.

python -m benchmarks.summary            # the table of the results that are there, printed
python -m benchmarks.summary run        # all benches first; the table goes into README.md when all were run
in full
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.table import QUICK, RESULTS

BENCHES = (
    "assessor",
    "pace",
    "lists",
    "roll",
    "affidavits",
    "recorder",
    "export",
    "find",
    "jobs",
    "county",
    "refresh",
    "reparse",
    "scrapyd",
    "browser",
)
_MODULES = {"scrapyd": "scrapyd_nodes"}
README = Path(__file__).parent / "README.md"
_BEGIN, _END = "<!-- figures: written by `make bench` -->\n", "<!-- end of figures -->\n"


def result_of(name: str) -> Path:
    """Return where a bench leaves its result."""
    return RESULTS / f"{name}{'-quick' if QUICK else ''}.json"


def lines_of(result: dict[str, Any]) -> list[str]:
    """Return a bench's rows as lines of a Markdown table."""
    lines = []
    for row in result["rows"]:
        bar = "" if row["bar"] is None else f"{'<=' if row['at_most'] else '>='} {row['bar']:g}"
        ratio = (
            ""
            if row["ratio"] is None
            else f"{row['ratio']:.3g}"
            if abs(row["ratio"]) < 1000
            else f"{row['ratio']:,.0f}"
        )
        holds = {None: "", True: "yes", False: "**no**"}[row["holds"]]
        cells = (result["bench"], row["what"], row["figure"], row["peer"], ratio, bar, holds)
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    return lines


def table(results: list[dict[str, Any]]) -> str:
    """Return one Markdown table of all results, with the machine's facts above it."""
    machine = results[0]["machine"]
    facts = f"{machine['cores']} cores, {machine['memory_gb']} GB, {machine['system'].split('-')[0]}, "
    facts += ", ".join(f"{name.capitalize()} {machine[name]}" for name in ("python", "scrapy", "twisted"))
    days = " to ".join(sorted({result["at"][:16].replace("T", " ") for result in (results[0], results[-1])}))
    seconds = sum(result["seconds"] for result in results)
    missed = sum(row["holds"] is False for result in results for row in result["rows"])
    held = sum(row["holds"] is True for result in results for row in result["rows"])
    head = ["| bench | what | figure | peer | ratio | bar | holds |", "|---|---|---|---|---|---|---|"]
    said = f"{days} UTC, {seconds / 60:.0f} minutes; {facts}. {held} bars hold, {missed} do not."
    return "\n".join([said, "", *head, *(line for result in results for line in lines_of(result))]) + "\n"


def run() -> int:
    """Run every bench, also after one that falls short; returns 1 when one did."""
    code = 0
    for name in BENCHES:
        result_of(name).unlink(missing_ok=True)
        print(f"bench {name}", flush=True)
        code |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.{_MODULES.get(name, name)}"], check=False
        ).returncode
    return int(code != 0)


def main(arguments: list[str]) -> int:
    """Return 1 when a bench fell short or left no result."""
    begun = time.monotonic()
    if arguments not in ([], ["run"]):
        print("the one argument there is: run", file=sys.stderr)
        return 2
    code = run() if arguments else 0
    there = [name for name in BENCHES if result_of(name).exists()]
    if missing := [name for name in BENCHES if name not in there]:
        print(f"without a result: {', '.join(missing)}", file=sys.stderr)
    if not there:
        return 1
    results = [json.loads(result_of(name).read_text()) for name in there]
    if old := [result["bench"] for result in results if "at" not in result]:
        print(f"results that do not say when they are of, run again: {', '.join(old)}", file=sys.stderr)
        return 1
    text = table(results)
    print(text)
    if arguments:
        print(f"all of it: {(time.monotonic() - begun) / 60:.0f} minutes")
        if not QUICK and not missing:
            before, _, rest = README.read_text().partition(_BEGIN)
            README.write_text(before + _BEGIN + "\n" + text + "\n" + _END + rest.partition(_END)[2])
    return code or int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
