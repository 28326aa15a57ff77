"""Everything about a few parcels from all three offices, with the plan before and the progress on the way.

python examples/comprehensive.py
"""

from maricopa_scrapy.database import embedded
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.jobs.plan import Order
from maricopa_scrapy.jobs.terminal_views import line
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess


def main() -> None:
    # A sandbox county and a database for its invented records. For the county itself: `with JobManager() as
    # manager`.
    database = embedded.start(default_data_dir() / "examples")
    fast = {"MARICOPA_RATE_LIMIT": "20"}
    with (
        SandboxProcess(gis_parcels=200) as county,
        JobManager(database, sandbox=county.url, settings=fast) as manager,
    ):
        plan = manager.plan(Order("comprehensive", apns=",".join(County().apns(8)), priority="high"))
        for step in plan.steps:
            print(f"{step.title}: {step.requests} requests at {step.rate}/s")
        for miss in plan.misses:
            print("not fetched:", miss)
        job = manager.begin(plan, on_progress=lambda status: print(line(status)))
        done = manager.wait(job)
    print(
        f"{done.verdict}: {done.counts.done} of {done.counts.total} targets done, success {done.success:.0%}"
    )


if __name__ == "__main__":
    main()
