"""`make soak`: 200,000 targets or 20 minutes, whichever comes first: memory, files, rows and the heartbeat
stay as they are.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
import psycopg2

from benchmarks.assessor import database
from benchmarks.table import QUICK, Bench, Row
from maricopa_scrapy.database import embedded
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

TARGETS = 10_000 if QUICK else 200_000
MOST_S = 60.0 if QUICK else 1200.0
# Silent for so long a run is lost.
LATE_S = 10.0
EVERY_S = 0.5
_ROWS = """
    SELECT (SELECT count(*) FROM crawl.target WHERE state = 'done'), (SELECT count(*) FROM crawl.run),
        (SELECT count(*) FROM crawl.issue),
           (SELECT count(*) FROM crawl.change), (SELECT count(*) FROM crawl.capture),
           (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
               WHERE relnamespace = 'crawl'::regnamespace AND relkind = 'r'
            AND relname <> ALL (ARRAY['target', 'capture', 'target_capture'])),
           (SELECT max(extract(epoch FROM now() - heartbeat_at)) FROM crawl.run WHERE finished_at IS NULL)
"""
# The tables of crawl that do not grow with the targets: rows that are written again and again leave dead ones
# behind.
_KEPT_MOST_MB = 8


def watch(process: "subprocess.Popen[bytes]", url: str) -> list[tuple[float, ...]]:
    """Return, twice a second: resident bytes, open handles, then what _ROWS says; ends the crawl when the
    time is up.
    """
    seen: list[tuple[float, ...]] = []
    connection = psycopg2.connect(url)
    connection.autocommit = True
    begun = time.monotonic()
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        if time.monotonic() - begun > MOST_S:
            process.terminate()
            process.wait(30)
            break
        try:
            sizes = (float(watched.memory_info().rss), float(watched.num_fds()))
        except psutil.Error:
            break
        with connection.cursor() as cursor:
            cursor.execute(_ROWS)
            seen.append((*sizes, *(float(one or 0) for one in cursor.fetchone() or ())))
        time.sleep(EVERY_S if QUICK else 4 * EVERY_S)
    connection.close()
    return seen


def main() -> int:
    bench = Bench("soak")
    with tempfile.TemporaryDirectory(prefix="maricopa-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = embedded.start(folder / "data")
        with database(server, "soak") as url, SandboxProcess() as sandbox:
            apns = folder / "apns.txt"
            apns.write_text("\n".join(County().apns(TARGETS)))
            environment = os.environ | {"MARICOPA_DATABASE_URL": url, "MARICOPA_SANDBOX": sandbox.url}
            command = [
                sys.executable,
                "-m",
                "scrapy",
                "crawl",
                "assessor",
                "-a",
                f"apns={apns}",
                "-s",
                "MARICOPA_RATE_LIMIT=1000",
            ]
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
                seen = watch(process, url)
            if process.returncode not in (0, 4, -15):
                sys.exit((folder / "log").read_text()[-2000:])
        embedded.release(folder / "data")
    running = [one for one in seen if one[2] > 0]
    if len(running) < 8:
        sys.exit(f"error: only {len(running)} looks at the crawl; nothing can be said of its memory")
    quarter = len(running) // 4
    second, last = running[quarter : 2 * quarter], running[-quarter:]
    for at, what, bar in ((0, "resident memory, MB", 1.15), (1, "open files", 1.1)):
        before, after = median(one[at] for one in second), median(one[at] for one in last)
        unit = 2**20 if at == 0 else 1
        what = f"{what}: last quarter, of the second"
        bench.add(Row(what, f"{after / unit:.0f}", f"{before / unit:.0f}", after / before, bar, at_most=True))
    done, runs, issues, changes, captures, kept, _ = running[-1][2:]
    bench.add(Row("targets done", f"{done:,.0f}"))
    for what, count in (("issues", issues), ("changes", changes), ("runs", runs)):
        bench.add(Row(f"rows of {what}", f"{count:.0f}", "", count, 50, at_most=True))
    bench.add(Row("captures a target", f"{captures / done:.2f}", "", captures / done, 1.05, at_most=True))
    bench.add(
        Row(
            "ledger tables but targets and captures, MB",
            f"{kept / 2**20:.1f}",
            "",
            kept / 2**20,
            _KEPT_MOST_MB,
            at_most=True,
        )
    )
    latest = max(one[-1] for one in running)
    bench.add(Row("heartbeat: longest silence, s", f"{latest:.1f}", "", latest, LATE_S, at_most=True))
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
