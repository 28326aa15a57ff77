"""What an answer is before anyone parses it."""

import gzip
import os
import time
import zlib
from email.utils import formatdate
from pathlib import Path

import brotli
import pytest
import zstandard
from scrapy import Request
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import HtmlResponse, Response
from scrapy.utils.test import get_crawler

from maricopa_scrapy.configuration import load
from maricopa_scrapy.items import Cause
from maricopa_scrapy.pace.answer_check import (
    Refusal,
    Unauthorized,
    cause_of,
    check_json_answer,
    check_page_answer,
)
from maricopa_scrapy.pace.throttle import retry_after

_, MANIFESTS = load()
MARKS = MANIFESTS["assessor"].refusals
CAPTURES = os.environ.get("MARICOPA_CAPTURES")
HTML = {"Content-Type": "text/html; charset=utf-8"}


def _page(title: str, body: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>".encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "cause"),
    [
        (403, HTML, _page("Just a moment...", "<script>window._cf_chl_opt={}</script>"), Cause.CHALLENGE),
        (
            200,
            HTML,
            _page("Wait", "<script src='/cdn-cgi/challenge-platform/h/g/orchestrate/chl_page/v1'></script>"),
            Cause.CHALLENGE,
        ),
        # A script that ordinary pages behind the same front load too.
        (
            200,
            HTML,
            _page("Sign in", "<script src='/cdn-cgi/challenge-platform/scripts/jsd/main.js'></script>"),
            Cause.SOFT_404,
        ),
        (
            502,
            HTML,
            _page("Bad gateway", "<script src='/cdn-cgi/challenge-platform/scripts/jsd/main.js'></script>"),
            Cause.SERVER_ERROR,
        ),
        (503, HTML, _page("Just a moment..."), Cause.CHALLENGE),
        (403, HTML | {"cf-mitigated": "challenge"}, _page("Other words"), Cause.CHALLENGE),
        (429, HTML | {"cf-mitigated": "challenge"}, _page("Other words"), Cause.CHALLENGE),
        (403, HTML | {"cf-mitigated": "block"}, _page("Other words"), Cause.REFUSED),
        (200, HTML, _page("Page not found: an office", "under maintenance since 1990"), Cause.SOFT_404),
        (200, {}, _page("A page without a type"), Cause.SOFT_404),
        (200, HTML, _page("Scheduled Maintenance"), Cause.SERVER_ERROR),
        (502, HTML, _page("We'll be back soon"), Cause.SERVER_ERROR),
        (200, {"Content-Type": "text/plain"}, b"OK", Cause.MALFORMED),
        (200, {"Content-Type": "application/pdf"}, b"%PDF-1.7", Cause.MALFORMED),
        (200, {}, b"  ", Cause.NOT_FOUND),
        (204, {}, b"", Cause.NOT_FOUND),
        (404, {}, b"", Cause.NOT_FOUND),
        (404, HTML, _page("Not found"), Cause.SOFT_404),
        (408, {}, b"", Cause.TIMEOUT),
        (429, {}, b"", Cause.THROTTLED),
        (503, HTML, _page("Scheduled maintenance"), Cause.THROTTLED),
        (500, {}, b"", Cause.SERVER_ERROR),
        (403, {}, b"", Cause.REFUSED),
    ],
)
def test_each_kind_of_answer_has_its_cause(
    status: int, headers: dict[str, str], body: bytes, cause: Cause
) -> None:
    with pytest.raises(Refusal) as caught:
        check_json_answer(
            Response("http://127.0.0.1/parcel/1", status=status, headers=headers, body=body), MARKS
        )
    assert caught.value.cause is cause


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/json; charset=utf-8", ""])
def test_json_passes_whatever_it_is_called(content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    check_json_answer(Response("http://127.0.0.1/parcel/1", headers=headers, body=b'{"MCR": "1"}'), MARKS)
    check_json_answer(Response("http://127.0.0.1/parcel/1", headers=headers, body=b"null"), MARKS)


def test_401_is_not_a_refusal() -> None:
    with pytest.raises(Unauthorized):
        check_json_answer(Response("http://127.0.0.1/parcel/1", status=401), MARKS)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_captured_page_of_an_unknown_path_is_a_soft_404() -> None:
    body = (Path(CAPTURES or "") / "assessor" / "soft404_page.html").read_bytes()
    with pytest.raises(Refusal) as caught:
        check_json_answer(HtmlResponse("http://127.0.0.1/parcel/1", headers=HTML, body=body), MARKS)
    assert caught.value.cause is Cause.SOFT_404


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("999999999999", 300.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_in_seconds_is_clamped(value: str, seconds: float | None) -> None:
    response = Response("http://127.0.0.1/", status=429, headers={"Retry-After": value.encode()})
    assert retry_after(response) == seconds


@pytest.mark.parametrize(("ahead", "least", "most"), [(40, 39, 41), (-40, 0, 0), (86_400, 300, 300)])
def test_retry_after_as_a_date_is_clamped(ahead: float, least: float, most: float) -> None:
    value = formatdate(time.time() + ahead, usegmt=True)
    found = retry_after(Response("http://127.0.0.1/", status=429, headers={"Retry-After": value}))
    assert found is not None
    assert least <= found <= most


PAGE_MARKS = MANIFESTS["assessor_page"].refusals


@pytest.mark.parametrize(
    ("status", "headers", "body", "cause"),
    [
        (403, HTML, _page("Just a moment...", "<script>window._cf_chl_opt={}</script>"), Cause.CHALLENGE),
        (
            200,
            HTML,
            _page("Wait", "<script src='/cdn-cgi/challenge-platform/h/b/orchestrate/x'></script>"),
            Cause.CHALLENGE,
        ),
        (200, HTML, _page("Page not found: an office"), Cause.SOFT_404),
        (404, HTML, _page("Not found"), Cause.SOFT_404),
        (404, {}, b"", Cause.NOT_FOUND),
        (200, HTML, b" ", Cause.NOT_FOUND),
        (200, {"Content-Type": "application/json"}, b"{}", Cause.MALFORMED),
        (200, {}, b"OK", Cause.MALFORMED),
        (200, HTML, _page("Scheduled maintenance"), Cause.SERVER_ERROR),
        (401, {}, b"", Cause.REFUSED),
        (302, HTML, _page("Moved"), Cause.REFUSED),
        (429, HTML, _page("Slow down"), Cause.THROTTLED),
    ],
)
def test_where_a_page_is_due(status: int, headers: dict[str, str], body: bytes, cause: Cause) -> None:
    with pytest.raises(Refusal) as caught:
        check_page_answer(
            Response("http://127.0.0.1/mcs/", status=status, headers=headers, body=body), PAGE_MARKS
        )
    assert caught.value.cause is cause


@pytest.mark.parametrize("source", ["assessor_page", "treasurer", "recorder", "recorder_legacy", "bulk"])
@pytest.mark.parametrize(
    "script", ["scripts/jsd/main.js", "h/b/scripts/jsd/1a2b3c/main.js", "h/g/scripts/alpha/invisible.js"]
)
def test_an_ordinary_page_passes_also_with_a_script_of_its_front(source: str, script: str) -> None:
    body = _page("An office", f"<script>a.src='/cdn-cgi/challenge-platform/{script}';</script>")
    check_page_answer(Response("http://127.0.0.1/mcs/", headers=HTML, body=body), MANIFESTS[source].refusals)


@pytest.mark.skipif(not CAPTURES, reason="MARICOPA_CAPTURES names no folder of captured answers")
def test_the_captured_soft_404_is_one_for_a_page_too() -> None:
    body = (Path(CAPTURES or ".") / "assessor" / "soft404_page.html").read_bytes()
    with pytest.raises(Refusal) as caught:
        check_page_answer(Response("http://127.0.0.1/mcs/", headers=HTML, body=body), PAGE_MARKS)
    assert caught.value.cause is Cause.SOFT_404


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_what_cannot_be_unpacked_is_malformed(encoding: str) -> None:
    unpacker = HttpCompressionMiddleware.from_crawler(get_crawler(settings_dict={"DOWNLOAD_MAXSIZE": 1000}))
    big = {
        "gzip": gzip.compress(bytes(2**20)),
        "deflate": zlib.compress(bytes(2**20)),
        "br": brotli.compress(bytes(2**20)),
        "zstd": zstandard.compress(bytes(2**20)),
    }[encoding]
    request = Request("http://127.0.0.1/parcel/1")
    for body in (b"{not packed at all}", big):
        with pytest.raises(Exception) as raised:
            unpacker.process_response(
                request, Response(request.url, body=body, headers={"Content-Encoding": encoding})
            )
        assert cause_of(raised.value) is Cause.MALFORMED
    assert cause_of(IgnoreRequest("Forbidden by robots.txt")) is Cause.REFUSED
