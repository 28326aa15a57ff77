"""A redirect that is followed, as of a scan of the recorder's, tells the next host nothing of the one
before.
"""

import pytest
from scrapy import Request, signals
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from maricopa_scrapy.pace.redirects import Redirects


def test_a_redirect_is_followed_without_a_referer_and_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crawler = get_crawler(settings_dict={"REDIRECT_ENABLED": True, "MEMUSAGE_ENABLED": False})
    middleware = Redirects.from_crawler(crawler)
    # Scrapy's own warns when the engine starts.
    crawler.signals.send_catch_log(signals.engine_started)
    request = Request("https://county.example/preview", headers={"Referer": "https://county.example/owner"})
    moved = Response(request.url, 302, {"Location": "https://files.example/scan.pdf"}, request=request)
    followed = middleware.process_response(request, moved)
    assert isinstance(followed, Request)
    assert followed.url == "https://files.example/scan.pdf"
    assert "Referer" not in followed.headers
    assert not caplog.records
