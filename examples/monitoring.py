"""Three jobs at once from a coroutine: their progress, one of them cancelled, and the statistics of all.

python examples/monitoring.py
"""

import asyncio

from maricopa_scrapy.database import embedded
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.terminal_views import line
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess


async def collect(manager: JobManager) -> None:
    apns = County().apns(60)

    def on_progress(status: JobProgress) -> None:
        print(line(status))

    urgent = await manager.submit_async(apns[:20], priority="high", on_progress=on_progress)
    usual = await manager.submit_async(apns[20:40], on_progress=on_progress)
    unwanted = await manager.submit_async(apns[40:], priority="low")
    manager.cancel(unwanted)
    for status in await asyncio.gather(*(manager.wait_async(job) for job in (urgent, usual, unwanted))):
        print(f"job {status.job}: {status.verdict}, {status.counts.done} done in {status.seconds:.0f} s")

    figures = manager.statistics()
    print(
        f"jobs: {figures.jobs}; {figures.requests} requests, {figures.requests_per_parcel} a parcel,"
        f" {figures.refusals} refused"
    )
    for name, source in figures.sources.items():
        traffic = source.traffic
        print(
            f"{name}: {traffic.throughput:.1f} answers/s, half of them within {traffic.p50} s, 19 of 20"
            f" within {traffic.p95} s"
        )


def main() -> None:
    # A sandbox county and a database for its invented records. For the county itself: `with JobManager() as
    # manager`.
    database = embedded.start(default_data_dir() / "examples")
    fast = {"MARICOPA_RATE_LIMIT": "20"}
    with SandboxProcess() as county, JobManager(database, sandbox=county.url, settings=fast) as manager:
        asyncio.run(collect(manager))


if __name__ == "__main__":
    main()
