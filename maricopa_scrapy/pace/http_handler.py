"""Scrapy's download handler with bounds that it lacks: on the headers of an answer, and on a proxy that opens no tunnel.

Touches what is private in Scrapy and Twisted: the factory of a pool's connections, the parser of one, the endpoint of a tunnel.
"""

from typing import TYPE_CHECKING, Any

from scrapy.core.downloader.handlers import http11
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler, TunnelError
from scrapy.exceptions import DownloadCancelledError, DownloadFailedError
from scrapy.http import Request, Response
from twisted.python.failure import Failure

from maricopa_scrapy.pace.certificates import check_failure

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

# Bytes of status and headers, those of interim answers (1xx) too, without what came in one piece with their end. Servers and proxies
# in common use send at most 8 to 64 kB.
HEAD_MOST = 128 * 1024
_IN_HEAD = ("STATUS", "HEADER")
_HEAD_END = b"\r\n\r\n"


class HttpHandler(HTTP11DownloadHandler):
    """For sources that need no browser."""

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        set_bounds(self)

    async def download_request(self, request: Request) -> Response:
        """Fetch. Raises Unverified besides what Scrapy's raises."""
        try:
            return await super().download_request(request)
        except DownloadFailedError as error:
            check_failure(error, request.url)
            raise


def set_bounds(handler: HTTP11DownloadHandler) -> None:
    """Have a handler cut each connection on which the headers of an answer are longer than HEAD_MOST.

    The download then fails because of a DownloadCancelledError, as for a body that is too big. Tunnels are bound for all handlers.
    """
    factory: type[Any] = handler._pool._factory

    class Factory(factory):  # type: ignore[misc]
        def buildProtocol(self, addr: Any) -> Any:
            return _bounded(super().buildProtocol(addr))

    handler._pool._factory = Factory
    http11._TunnelingTCP4ClientEndpoint = _Tunnel  # type: ignore[misc]


def _bounded(protocol: Any) -> Any:
    receive = protocol.dataReceived
    length = 0

    def received(data: bytes) -> None:
        nonlocal length
        receive(data)
        parser = protocol._parser
        if parser is None or parser.state not in _IN_HEAD:
            length = 0
            return
        length += len(data)
        if length > HEAD_MOST:
            # As the protocol does with what it cannot parse; but a sender without end is not waited for.
            protocol._giveUp(Failure(DownloadCancelledError(f"headers of more than {HEAD_MOST:,} bytes")))  # type: ignore[no-untyped-call]
            protocol.transport.abortConnection()

    protocol.dataReceived = received
    return protocol


class _Tunnel(http11._TunnelingTCP4ClientEndpoint):
    """Fails at once where the proxy closes the connection or sends headers without end, and leaves none open that came to nothing."""

    def connect(self, protocolFactory: Any) -> Any:
        """Connect to the proxy, and through it."""
        return super().connect(protocolFactory).addErrback(self._close)

    def requestTunnel(self, protocol: Any) -> Any:
        """Ask the proxy for a tunnel."""
        lost = protocol.connectionLost

        def connection_lost(reason: Any) -> None:
            self._fail("it closed the connection")
            lost(reason)

        protocol.connectionLost = connection_lost
        return super().requestTunnel(protocol)

    def processProxyResponse(self, data: bytes) -> None:
        """Take what the proxy answers."""
        if len(self._connectBuffer) + len(data) > HEAD_MOST:
            self._fail(f"it sent headers of more than {HEAD_MOST:,} bytes")
        else:
            super().processProxyResponse(data)

    def _fail(self, why: str) -> None:
        if not self._tunnelReadyDeferred.called:
            self._tunnelReadyDeferred.errback(TunnelError(f"Could not open CONNECT tunnel with proxy {self._host}:{self._port} [{why}]"))

    def _close(self, failure: Failure) -> Failure:
        protocol: Any = getattr(self, "_protocol", None)
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abortConnection()
        return failure
