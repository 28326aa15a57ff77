"""Tax bills and payments of a list of parcels.

python examples/tax_only.py
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
    fast = {"MARICOPA_RATE_LIMIT": "20"}
    apns = County().apns(4)
    with SandboxProcess() as county, JobManager(database, sandbox=county.url, settings=fast) as manager:
        job = manager.submit(apns, job_type="tax", processing_mode="scraping_only")
        print(manager.wait(job).verdict)

    session = Session(database)
    query = (
        "SELECT apn, tax_year, status, amount_due FROM treasurer.bill WHERE apn = ANY(%s) ORDER BY apn,"
        " tax_year DESC LIMIT 8"
    )
    for row in session.rows(query, (apns,)):
        print(*row)
    session.close()


if __name__ == "__main__":
    main()
