"""Which APNs of a long list exist? Lists of 500 to the GIS, and the API for those that it does not have.

python examples/bulk_validation.py
"""

from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess


def main() -> None:
    # A sandbox county and a database for its invented records. For the county itself: `with JobManager() as
    # manager`.
    database = embedded.start(default_data_dir() / "examples")
    fast = {"MARICOPA_RATE_LIMIT": "50"}
    asked = County().apns(995) + County().absent(5)
    with (
        SandboxProcess(gis_parcels=1_200) as county,
        JobManager(database, sandbox=county.url, settings=fast) as manager,
    ):
        job = manager.submit(asked, job_type="validation")
        done = manager.wait(job)
        figures = manager.statistics(job)
    print(f"{done.verdict}: {len(asked)} APNs with {figures.requests} requests")

    session = Session(database)
    query = (
        "SELECT key FROM crawl.target WHERE job_id = %s AND source = 'assessor' AND state = 'gone' ORDER"
        " BY key"
    )
    for (apn,) in session.rows(query, (job,)):
        print("no such parcel:", apn)
    session.close()


if __name__ == "__main__":
    main()
