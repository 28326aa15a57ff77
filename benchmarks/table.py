"""One table a bench: figure, peer, ratio, bar, holds; the same as JSON with the machine's facts."""

import datetime as dt
import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
QUICK = os.environ.get("QUICK", "") not in ("", "0")


@dataclass
class Row:
    """`ratio` must reach `bar` (or stay at or below it when `at_most`); without a bar the row only
    informs.
    """

    what: str
    figure: str
    peer: str = ""
    ratio: float | None = None
    bar: float | None = None
    at_most: bool = False

    @property
    def holds(self) -> bool | None:
        if self.bar is None or self.ratio is None:
            return None
        return self.ratio <= self.bar if self.at_most else self.ratio >= self.bar


@dataclass
class Bench:
    """Collects rows, prints them, keeps them."""

    name: str
    rows: list[Row] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(f"  {row.what}: {row.figure}" + (f"  (peer {row.peer})" if row.peer else ""), flush=True)

    def finish(self) -> int:
        """Print the table, write results/NAME.json; returns 1 when a bar falls short."""
        table = Table(title=f"bench {self.name}" + (" (quick)" if QUICK else ""), title_justify="left")
        for column in ("what", "figure", "peer", "ratio", "bar", "holds"):
            table.add_column(column, justify="left" if column == "what" else "right")
        for row in self.rows:
            sign = "≤" if row.at_most else "≥"
            table.add_row(
                row.what,
                row.figure,
                row.peer,
                "" if row.ratio is None else f"{row.ratio:.2f}",
                "" if row.bar is None else f"{sign} {row.bar:g}",
                {None: "", True: "yes", False: "NO"}[row.holds],
            )
        Console(width=120).print(table)
        RESULTS.mkdir(exist_ok=True)
        suffix = "-quick" if QUICK else ""
        machine = {
            "python": platform.python_version(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "scrapy": version("scrapy"),
            "twisted": version("twisted"),
        }
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        content = {
            "bench": self.name,
            "quick": QUICK,
            "at": now,
            "seconds": round(time.monotonic() - self._begun),
            "machine": machine,
            "rows": [asdict(row) | {"holds": row.holds} for row in self.rows],
        }
        (RESULTS / f"{self.name}{suffix}.json").write_text(
            json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        )
        return 1 if any(row.holds is False for row in self.rows) else 0
