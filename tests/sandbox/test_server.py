"""The sandbox county as a client sees it, over loopback."""

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from maricopa_scrapy.parsing.identifiers import format_apn
from maricopa_scrapy.sandbox.answers.rate_limiter import RetryAfter
from maricopa_scrapy.sandbox.county.county import SUB_RESOURCES, County
from maricopa_scrapy.sandbox.county.ownership import HOLDINGS
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.server import Options, SandboxError, build_app, serve


class Reply:
    """A finished answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.type = response.headers.get_content_type() if response.headers["Content-Type"] else ""
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        assert self.type == "application/json"
        return json.loads(self.body)


def get(sandbox: SandboxProcess, path: str, timeout: float = 10, **headers: str) -> Reply:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=timeout)
    try:
        connection.request("GET", path, headers=headers)
        return Reply(connection.getresponse())
    finally:
        connection.close()


def parcel(sandbox: SandboxProcess, apn: str, **headers: str) -> Reply:
    return get(sandbox, f"/assessor/parcel/{quote(apn)}", 10, **headers)


def search(sandbox: SandboxProcess, query: str, page: int = 1, category: str = "property") -> Any:
    return get(sandbox, f"/assessor/search/{category}/?q={quote(query)}&page={page}").json()


def all_pages(sandbox: SandboxProcess, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for page in range(1, 50):
        found = search(sandbox, query, page)["Results"]
        rows += found
        if len(found) < 25:
            break
    return rows


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    with SandboxProcess(track=True) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: SandboxProcess) -> SandboxProcess:
    shared.clear_faults()
    shared.reset()
    return shared


def stats(sandbox: SandboxProcess) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.stats()["assessor"]
    return found


# Parcels.


def test_a_parcel_in_any_notation(sandbox: SandboxProcess) -> None:
    truth = County()
    apn = next(apn for apn in truth.walk() if len(apn) == 9)
    spaced = f"{apn[:3]} {apn[3:5]} {apn[5:].lower()}"
    for notation in (apn, format_apn(apn), spaced, spaced.replace(" ", "."), f"{apn}/"):
        assert parcel(sandbox, notation).json() == truth.parcel(apn)
    assert stats(sandbox)["fetched"] == {apn: 5}


def test_parts_equal_the_parcel(sandbox: SandboxProcess) -> None:
    (apn,) = County().apns(1)
    whole = parcel(sandbox, apn).json()
    parts = {name: get(sandbox, f"/assessor/parcel/{apn}/{name}/").json() for name in SUB_RESOURCES}
    first = dict(list(whole.items())[:19])
    assert list(parts["propertyinfo"]) == list(first)
    assert parts["propertyinfo"] == first | {"PropertyType": first["PropertyType"].upper()}
    assert parts["address"] == {"PropertyAddress": whole["PropertyAddress"]}
    assert parts["valuations"] == whole["Valuations"]
    assert parts["residential-details"] == whole["ResidentialPropertyData"]
    assert parts["owner-details"] == whole["Owner"]
    assert parts["improvements"] == whole["Improvements"]
    assert parts["sketches"] == whole["Sketches"]
    assert parts["mapids"] == whole["MapIDs"]
    assert stats(sandbox)["by_kind"] == {"parcel": 1, "search": 0} | dict.fromkeys(SUB_RESOURCES, 1)


def test_absent_and_garbage(sandbox: SandboxProcess) -> None:
    absent = County().absent(30)
    answers = [parcel(sandbox, apn) for apn in absent]
    assert {(answer.status, answer.body) for answer in answers} == {(404, b""), (200, b"null")}
    assert (get(sandbox, f"/assessor/parcel/{absent[0]}/valuations").status) == 404
    assert get(sandbox, f"/assessor/parcel/{absent[0]}/sketches/").json() == {"TotalPages": 0, "Pages": []}
    maps = get(sandbox, f"/assessor/parcel/{absent[0]}/mapids/").json()
    assert [key for key, files in maps.items() if files] == ["Book/Map Maps"]
    garbage = parcel(sandbox, "INVALID123!@#")
    assert (garbage.status, garbage.body) == (500, b"")


def test_unknown_paths_are_soft_404s_and_noted(sandbox: SandboxProcess) -> None:
    page = get(sandbox, "/assessor/api/status?x=1")
    assert (page.status, page.type) == (200, "text/html")
    assert b"<title>Page not found: Maricopa County Assessor's Office</title>" in page.body
    below = get(sandbox, "/assessor/parcel/16528054/nonsense")
    assert (below.status, below.body) == (404, b"")
    assert stats(sandbox)["unknown_paths"] == [
        "/assessor/api/status?x=1",
        "/assessor/parcel/16528054/nonsense",
    ]
    assert stats(sandbox)["by_kind"]["unknown"] == 2


def test_gzip_for_those_who_take_it(sandbox: SandboxProcess) -> None:
    (apn,) = County().apns(1)
    plain, packed = parcel(sandbox, apn), parcel(sandbox, apn, **{"Accept-Encoding": "gzip"})
    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert stats(sandbox)["bytes"] == len(plain.body) + len(packed.body)


# Searches.


def test_an_owner_s_pages_and_the_others_among_them(sandbox: SandboxProcess) -> None:
    rows = all_pages(sandbox, "arizona state land dept")
    assert 57 < len(rows) <= 75
    assert {row["Ownership"] for row in rows} == {"ARIZONA STATE LAND DEPT", "ARIZONA STATE DEPT OF ADMIN"}
    theirs = {row["APN"] for row in rows if row["Ownership"] == "ARIZONA STATE LAND DEPT"}
    assert theirs == {apn for apn, holding in HOLDINGS.items() if holding.owner == "ARIZONA STATE LAND DEPT"}
    assert search(sandbox, "ARIZONA STATE LAND DEPT", 3)["TOTAL"] == len(rows)
    assert search(sandbox, "ARIZONA STATE LAND DEPT", 4) == {"TOTAL": len(rows), "Results": []}


def test_exactly_two_full_pages(sandbox: SandboxProcess) -> None:
    assert [len(search(sandbox, "SALT RIVER PROJECT", page)["Results"]) for page in (1, 2, 3)] == [25, 25, 0]


def test_an_address_is_one_parcel_among_its_street(sandbox: SandboxProcess) -> None:
    rows = all_pages(sandbox, "301 W Jefferson St")
    assert [row["APN"] for row in rows if row["SitusAddress"] == "301 W JEFFERSON ST"] == ["11221001A"]
    assert len({row["SitusAddress"] for row in rows}) > 10
    assert any("JEFFERSON" in row["Ownership"] and "JEFFERSON" not in row["SitusAddress"] for row in rows)
    assert parcel(sandbox, "11221001A").json()["PropertyAddress"] == "301 W JEFFERSON ST PHOENIX, AZ 85003"


def test_rows_agree_with_their_parcels(sandbox: SandboxProcess) -> None:
    truth = County()
    rows = all_pages(sandbox, "phoenix")
    for row in rows[:200]:
        whole, situs = truth.undrawn(row["APN"])
        assert row["Ownership"] == (whole["Owner"]["Ownership"] or "")[:100]
        assert row["SectionTownshipRange"] == whole["SectionTownshipRange"].replace(" ", "")
        assert row["PropertyType"] == whole["PropertyType"].upper()
        line = f"{row['SitusAddress']} {row['SitusCity']}, AZ {row['SitusZip']}" if situs.street else ""
        assert whole["PropertyAddress"] == ("N/A" if whole["Owner"]["Ownership"] == "NA" else line)
    assert any(len(row["Ownership"]) == 100 for row in rows)


@pytest.mark.parametrize("query", ["NOSUCH OWNER XYZZY", "999999 NONEXISTENT ROAD", "", "--"])
def test_no_hits(sandbox: SandboxProcess, query: str) -> None:
    assert search(sandbox, query) == {"TOTAL": 0, "Results": []}


def test_a_search_for_an_apn_finds_it_or_nothing_equal(sandbox: SandboxProcess) -> None:
    truth = County()
    sizes = set()
    for apn in truth.apns(30):
        found = search(sandbox, format_apn(apn))
        sizes.add(found["TOTAL"])
        assert [row["APN"] for row in found["Results"]].count(apn) == 1
    assert sizes == {1, 2}
    for apn in truth.absent(30):
        assert apn not in {row["APN"] for row in search(sandbox, apn)["Results"]}


def test_each_category_has_rows_of_its_captured_shape(sandbox: SandboxProcess) -> None:
    queries = {"rp": "PHOENIX", "rental": "PHOENIX", "bpp": "PHOENIX", "mh": "PHOENIX", "sub": "PHOENIX"}
    rows = {
        category: search(sandbox, query, category=category)["Results"] for category, query in queries.items()
    }
    assert all(rows.values())
    assert all(value is None or isinstance(value, str) for row in rows["rp"] for value in row.values())
    if not os.environ.get("MARICOPA_CAPTURES"):
        pytest.skip("MARICOPA_CAPTURES does not name the folder of the captured answers")
    folder = Path(os.environ["MARICOPA_CAPTURES"]) / "assessor" / "search"
    for category, found in rows.items():
        captured = json.loads((folder / f"rows_{category}.json").read_text())
        assert list(found[0]) == list(captured[0]), category
        assert {type(value) for value in found[0].values()} == {
            type(value) for value in captured[0].values()
        }, category


# Counts, limits and the server itself.


def test_stats_count_what_was_asked(sandbox: SandboxProcess) -> None:
    (apn,), (absent,) = (
        County().apns(1),
        [apn for apn in County().absent(40) if parcel(sandbox, apn).status == 404][:1],
    )
    sandbox.reset()
    get(sandbox, "/robots.txt")
    assert get(sandbox, "/assessor/robots.txt").body == b"User-agent: *\nDisallow: /_\n"
    assert stats(sandbox)["requests"] == 0
    assert stats(sandbox)["by_kind"] == {"parcel": 0, "search": 0}
    size = len(parcel(sandbox, apn).body) + len(parcel(sandbox, absent).body)
    found = stats(sandbox)
    assert found["requests"] == sum(count for _, count in found["per_second"]) == 2
    assert found["by_status"] == {"200": 1, "404": 1}
    assert found["bytes"] == size
    assert found["fetched"] == {apn: 1, absent: 1}
    assert found["refused"] == 0
    assert 0 <= found["last_request"] - found["first_request"] < 5


def test_apns_for_a_crawl(sandbox: SandboxProcess) -> None:
    lines = get(sandbox, "/_apns?count=5&absent=2").body.decode().splitlines()
    assert lines == County().apns(5) + County().absent(2)
    assert get(sandbox, "/_apns?count=x").status == 400


@pytest.mark.parametrize("mode", ["seconds", "date", "none"])
def test_the_limiter_refuses_beyond_rate_and_burst(mode: RetryAfter) -> None:
    apns = County().apns(12)
    with SandboxProcess(rate=2, burst=5, retry_after=mode) as sandbox:
        answers = [parcel(sandbox, apn) for apn in apns]
        refused = [answer for answer in answers if answer.status == 429]
        assert [answer.status for answer in answers[:5]] == [200] * 5
        assert 5 <= len(refused) <= 7
        assert stats(sandbox)["refused"] == stats(sandbox)["by_status"]["429"] == len(refused)
        header = refused[0].headers["Retry-After"]
        if mode == "none":
            assert header is None
        elif mode == "seconds":
            assert int(header) == 1
        else:
            assert -2 <= parsedate_to_datetime(header).timestamp() - time.time() <= 2
        sandbox.reset()
        assert parcel(sandbox, apns[0]).status == 200


def test_latency_and_the_peak_of_what_is_under_way() -> None:
    from concurrent.futures import ThreadPoolExecutor

    apns = County().apns(4)
    with SandboxProcess(latency=1.0) as sandbox, ThreadPoolExecutor(4) as pool:
        start = time.monotonic()
        assert {answer.status for answer in pool.map(lambda apn: parcel(sandbox, apn), apns)} == {200}
        assert time.monotonic() - start >= 1.0
        assert stats(sandbox)["in_flight_peak"] == 4
        assert stats(sandbox)["in_flight"] == 0


def test_a_token() -> None:
    (apn,) = County().apns(1)
    with SandboxProcess(token="right") as sandbox:
        assert parcel(sandbox, apn).status == 401
        assert parcel(sandbox, apn, AUTHORIZATION="wrong").status == 401
        assert parcel(sandbox, apn, Authorization="right").status == 200
        assert get(sandbox, "/robots.txt").status == 200


def test_a_port_in_use_and_a_host_that_is_not_loopback() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        expected = f"port {port} on 127.0.0.1 is in use; choose another with --port"
        with pytest.raises(SandboxError, match=expected):
            serve(County(), port=port, ready=lambda _: None)
        with pytest.raises(SandboxError, match=expected):
            SandboxProcess(port=port).__enter__()
    for host in ("0.0.0.0", "192.0.2.1", "example.com", ""):
        with pytest.raises(SandboxError, match="not an address of this machine alone"):
            serve(County(), host=host, ready=lambda _: None)
    with pytest.raises(SandboxError, match="rate is"):
        build_app(County(), Options(rate=0))
    with pytest.raises(
        SandboxError, match="there is no treasurer skin 'striped'; there are plain, heading_identity"
    ):
        build_app(County(), Options(treasurer_skin="striped"))


def test_it_ends_with_its_parent() -> None:
    program = (
        "import os; from maricopa_scrapy.sandbox.process import SandboxProcess; s ="
        " SandboxProcess().__enter__();print(s.pid, s.url, flush=True); os._exit(1)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True, timeout=60
    )
    _, url = parent.stdout.split()
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as knock:
            if knock.connect_ex(address):
                return
        time.sleep(0.05)
    pytest.fail("the sandbox outlived its parent")
