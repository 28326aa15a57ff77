"""Each fault of the sandbox county, as a client meets it."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from maricopa_scrapy.sandbox.answers.faults import NAMES, FaultError, Faults
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.server import SandboxError

TRUTH = County()
APNS = TRUTH.apns(8)


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: SandboxProcess) -> SandboxProcess:
    shared.clear_faults()
    shared.reset()
    return shared


def get(sandbox: SandboxProcess, path: str, timeout: float = 10) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=timeout)
    try:
        connection.request("GET", f"/assessor{path}")
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def parcel(
    sandbox: SandboxProcess, apn: str = APNS[0], timeout: float = 10
) -> tuple[http.client.HTTPResponse, bytes]:
    return get(sandbox, f"/parcel/{apn}", timeout)


def faulty(sandbox: SandboxProcess, name: str, **options: Any) -> None:
    sandbox.faults({name: {"probability": 1.0} | options})


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("throttled", 429),
        ("unavailable", 503),
        ("server_error", 500),
        ("unauthorized", 401),
        ("forbidden", 403),
        ("empty_404", 404),
    ],
)
def test_statuses_without_a_body(sandbox: SandboxProcess, name: str, status: int) -> None:
    faulty(sandbox, name)
    response, body = parcel(sandbox)
    assert (response.status, body) == (status, b"")
    assert response.getheader("Retry-After") is None
    stats = sandbox.stats()["assessor"]
    assert stats["faults"] == {name: 1}
    assert stats["by_status"] == {str(status): 1}
    assert stats["refused"] == (status in (429, 503))


def test_retry_after_of_a_fault(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "throttled", retry_after=7)
    assert parcel(sandbox)[0].getheader("Retry-After") == "7"


def test_pages_of_html(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "soft_404")
    response, body = parcel(sandbox)
    assert (response.status, response.headers.get_content_type()) == (200, "text/html")
    assert b"Page not found: Maricopa County Assessor's Office" in body
    sandbox.clear_faults()
    faulty(sandbox, "challenge")
    response, body = get(sandbox, "/search/property/?q=PHOENIX")
    assert (response.status, response.headers.get_content_type()) == (403, "text/html")
    assert b"Just a moment..." in body
    assert b"cf-chl" in body


def test_null_and_malformed(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "null_answer")
    assert parcel(sandbox)[1] == b"null"
    sandbox.clear_faults()
    faulty(sandbox, "malformed")
    for path in (f"/parcel/{APNS[0]}", "/search/property/?q=PHOENIX", f"/parcel/{TRUTH.absent(1)[0]}"):
        response, body = get(sandbox, path)
        assert (response.status, response.headers.get_content_type()) == (200, "application/json")
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


def test_truncated(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "truncated")
    with pytest.raises(http.client.IncompleteRead) as error:
        parcel(sandbox)
    whole = len(json.dumps(TRUTH.parcel(APNS[0]), separators=(",", ":"), ensure_ascii=False))
    assert len(error.value.partial) == whole // 2
    assert error.value.expected == whole - whole // 2


def test_reset_and_hang(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "reset")
    with pytest.raises(ConnectionError):
        parcel(sandbox)
    sandbox.clear_faults()
    faulty(sandbox, "hang")
    with pytest.raises(TimeoutError):
        parcel(sandbox, timeout=0.2)
    stats = sandbox.stats()["assessor"]
    assert stats["faults"] == {"reset": 1, "hang": 1}
    assert stats["by_status"] == {}


def test_wrong_parcel(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "wrong_parcel")
    other = json.loads(parcel(sandbox)[1])
    apn = other["TreasurersTransitionUrl"].rpartition("=")[2]
    assert apn != APNS[0]
    assert other == TRUTH.parcel(apn)


def test_edits_of_one_field(sandbox: SandboxProcess) -> None:
    truth = TRUTH.parcel(APNS[0])
    newest, *others = truth["Valuations"]
    name = truth["Owner"]["Ownership"]
    expected: dict[str, dict[str, Any]] = {
        "renamed_field": {"LotSizeSqFt" if key == "LotSize" else key: value for key, value in truth.items()},
        "missing_field": {key: value for key, value in truth.items() if key != "LotSize"},
        "new_field": truth | {"GreenScore": 7},
        "retyped_field": truth | {"Valuations": [newest | {"FullCashValue": "12x"}, *others]},
        "nul_text": truth | {"Owner": truth["Owner"] | {"Ownership": f"{name[:4]}\0{name[4:]}"}},
        "no_identity": truth | {"TreasurersTransitionUrl": None, "Sketches": {"TotalPages": 0, "Pages": []}},
        "owner_as_list": truth | {"Owner": []},
    }
    for fault, answer in expected.items():
        sandbox.clear_faults()
        faulty(sandbox, fault)
        body = parcel(sandbox)[1]
        assert json.loads(body) == answer, fault
        assert (b"\\u0000" in body) == (fault == "nul_text")
        assert json.loads(get(sandbox, f"/parcel/{APNS[0]}/owner-details")[1]) == truth["Owner"]


def test_limits_make_faults_exact(sandbox: SandboxProcess) -> None:
    faulty(sandbox, "server_error", keys=[f"{APNS[0][:3]}-{APNS[0][3:5]}-{APNS[0][5:]}", APNS[1]], count=3)
    assert get(sandbox, f"/search/property/?q={APNS[0]}")[0].status == 200
    statuses = [
        parcel(sandbox, apn)[0].status for apn in (APNS[0], APNS[2], APNS[1], APNS[0], APNS[0], APNS[1])
    ]
    assert statuses == [500, 200, 500, 500, 200, 200]
    faulty(sandbox, "server_error", kind="search")
    assert parcel(sandbox)[0].status == 200
    assert get(sandbox, "/search/property/?q=PHOENIX")[0].status == 500
    faulty(sandbox, "server_error", kind="search", keys=[APNS[0]])
    assert get(sandbox, "/search/property/?q=PHOENIX")[0].status == 200
    assert get(sandbox, f"/search/property/?q={APNS[0]}")[0].status == 500


def test_faults_of_parcels_leave_absent_ones_alone(sandbox: SandboxProcess) -> None:
    absent = next(apn for apn in TRUTH.absent(40) if parcel(sandbox, apn)[0].status == 404)
    faulty(sandbox, "new_field")
    assert parcel(sandbox, absent)[0].status == 404
    assert sandbox.stats()["assessor"]["faults"] == {}


def test_a_probability_is_a_share_and_the_same_each_time() -> None:
    def met(seed: int) -> list[bool]:
        faults = Faults(seed, {"server_error": 0.2})
        return [faults.choose(request, "parcel", None, True) is not None for request in range(2000)]

    assert met(1) == met(1) != met(2)
    assert 0.17 < sum(met(1)) / 2000 < 0.23


def test_faults_can_be_given_at_the_start() -> None:
    with SandboxProcess(faults={"forbidden": 1.0}) as sandbox:
        assert parcel(sandbox)[0].status == 403
        assert list(sandbox.faults({"throttled": 0.5})) == ["forbidden", "throttled"]


def test_mistakes_are_told(sandbox: SandboxProcess) -> None:
    with pytest.raises(SandboxError, match="there is no fault 'thundered'; there are throttled"):
        sandbox.faults({"thundered": 1.0})
    for options in ({"probability": 2}, {"odds": 1}, {"keys": ["12-34"]}, {"count": "3"}, "often"):
        with pytest.raises(FaultError, match="fault reset: "):
            Faults(1, {"reset": options})
    assert len(NAMES) == len(set(NAMES))
