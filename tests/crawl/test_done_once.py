"""What a crawl does once: a real `scrapy crawl`, in a process that counts calls in all of its threads."""

from pathlib import Path

from maricopa_scrapy.sandbox.county.county import County
from tests.conftest import Crawler, Database, counties

_COUNTED = """
import sys, threading
from collections import Counter
from scrapy.cmdline import execute
from maricopa_scrapy.arguments.list_layout import layout
from maricopa_scrapy.crawl.source_connection import connect_to
from maricopa_scrapy.database.schema import files, pending

names = {one.__code__: one.__name__ for one in (connect_to, files, layout, pending)}
calls = Counter()

def note(frame, event, argument):
    if event == "call" and frame.f_code in names:
        calls[names[frame.f_code]] += 1

threading.setprofile(note)
sys.setprofile(note)
try:
    execute(["scrapy", "crawl", "assessor", "-a", f"apns={sys.argv[1]}", "-s", "MARICOPA_RATE_LIMIT=50"])
finally:
    sys.setprofile(None)
    print("calls", sorted(calls.items()))
"""


def test_a_crawl_reads_its_list_connects_and_looks_at_the_schema_once(
    tmp_path: Path, database: Database
) -> None:
    script, apns = tmp_path / "counted.py", tmp_path / "apns.txt"
    script.write_text(_COUNTED)
    with counties() as county:
        sandbox = county()
        apns.write_text("\n".join(County().apns(3)))
        told = Crawler(database, sandbox.url).script(script, str(apns))
    assert database.states() == {"done": 3}
    assert "calls [('connect_to', 1), ('files', 1), ('layout', 1), ('pending', 1)]" in told, told
