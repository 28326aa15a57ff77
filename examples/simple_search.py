"""Everything that an owner has: a search, then the parcels that it finds.

python examples/simple_search.py
"""

from maricopa_scrapy.database import embedded
from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.sandbox.process import SandboxProcess


def main() -> None:
    # A sandbox county and a database for its invented records. For the county itself: `with JobManager() as
    # manager`.
    database = embedded.start(default_data_dir() / "examples")
    fast = {"MARICOPA_RATE_LIMIT": "50"}
    with SandboxProcess() as county, JobManager(database, sandbox=county.url, settings=fast) as manager:
        job = manager.submit("ARIZONA STATE LAND DEPT", job_type="property_search", search_type="owner")
        print(manager.wait(job).verdict)

    session = Session(database)
    query = (
        "SELECT apn, property_address, full_cash_value FROM property WHERE ownership = 'ARIZONA STATE LAND"
        " DEPT' ORDER BY apn LIMIT 5"
    )
    for row in session.rows(query):
        print(*row)
    session.close()


if __name__ == "__main__":
    main()
