"""Use the parsers alone: one parcel of the sandbox county, fetched with the standard library, no Scrapy, no
database.

python examples/parse_without_database.py
"""

from urllib.request import ProxyHandler, build_opener

from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sources.assessor.parcel import parse_parcel


def main() -> None:
    (apn,) = County().apns(1)
    with SandboxProcess() as sandbox:
        body = build_opener(ProxyHandler({})).open(f"{sandbox.url}/assessor/parcel/{apn}", timeout=10).read()
    page = parse_parcel(body, apn)
    for record in page.records:
        print(record.table, record.model_dump_json(exclude_none=True)[:160])


if __name__ == "__main__":
    main()
