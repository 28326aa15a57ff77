"""The server: the sources of the county and what tests ask of it below /_stats, /_reset, /_faults, /_apns and
/_changes.
"""

import asyncio
import contextlib
import datetime as dt
import errno
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from maricopa_scrapy.sandbox.answers.counts import Counts
from maricopa_scrapy.sandbox.answers.faults import FaultError, Faults
from maricopa_scrapy.sandbox.answers.rate_limiter import Limiter, RetryAfter
from maricopa_scrapy.sandbox.assessor.api import PREFIX, Assessor
from maricopa_scrapy.sandbox.assessor.public_page import PREFIX as ASSESSOR_PAGE
from maricopa_scrapy.sandbox.assessor.public_page import AssessorPage
from maricopa_scrapy.sandbox.bulk.files import PREFIX as BULK
from maricopa_scrapy.sandbox.bulk.files import Files
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.county_changes import SOURCES as CHANGING
from maricopa_scrapy.sandbox.county_changes import of_parcel
from maricopa_scrapy.sandbox.gis.layers import PREFIX as GIS
from maricopa_scrapy.sandbox.gis.layers import Gis
from maricopa_scrapy.sandbox.recorder.api import LEGACY, STORAGE, Recorder, today_in_phoenix
from maricopa_scrapy.sandbox.recorder.api import PREFIX as RECORDER
from maricopa_scrapy.sandbox.recorder.documents import Documents
from maricopa_scrapy.sandbox.treasurer.site import PREFIX as TREASURER
from maricopa_scrapy.sandbox.treasurer.site import Treasurer
from maricopa_scrapy.sandbox.treasurer.skins import skin_of

_ROBOTS = "User-agent: *\nDisallow: /_\n"
_GOODBYE_S = 0.2

SOURCES = ("assessor", "assessor_page", "gis", "treasurer", "bulk", "recorder", "recorder_legacy")


class SandboxError(Exception):
    """The sandbox can't start, or can't be reached; the message says what to do."""


@dataclass
class Options:
    """How the sandbox behaves.

    latency: seconds before each answer. rate, burst: requests per second and saved up, 429 beyond;
    retry_after: the header of it; slow_down: no 429, but waiting. These can be changed while it serves (POST
    /_conduct).
    faults: as Faults.set takes them. token: what AUTHORIZATION must be. compress: gzip for clients that take
    it. track: count the fetches of each parcel. gis_parcels: rows of the GIS layers.
    recorder_daily: documents a working day; recorder_rush: liens more on one day a month; recorder_today,
    recorder_indexed: the recorder's last day, and the last whose names are indexed (YYYY-MM-DD; today, and
    two days before it). affidavits: lines of the Sales Affidavits, affidavits_dirty of which are not of its
    shape.
    treasurer_skin: how the treasurer's page is shown (sandbox/treasurer/skins.py); it can be changed while it
    serves too.
    """

    latency: float = 0.0
    rate: float | None = None
    burst: float | None = None
    retry_after: RetryAfter = "none"
    slow_down: bool = False
    faults: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None
    compress: bool = True
    track: bool = False
    gis_parcels: int = 1_760_000
    recorder_daily: int = 300
    recorder_rush: int = 0
    recorder_today: str | None = None
    recorder_indexed: str | None = None
    affidavits: int = 20_000
    affidavits_dirty: int = 5
    treasurer_skin: str = "plain"


def build_app(county: County, options: Options | None = None) -> web.Application:
    """Return the application. Raises SandboxError for options that make no sense."""
    options = options or Options()
    try:
        faults = {source: Faults(county.seed) for source in SOURCES} | {
            "assessor": Faults(county.seed, options.faults)
        }
        limiters = {
            source: Limiter(options.rate, options.burst, options.retry_after, options.slow_down)
            for source in SOURCES
        }
        skin_of(options.treasurer_skin)
    except ValueError as error:
        raise SandboxError(str(error)) from None
    counts = {source: Counts(options.track) for source in SOURCES}

    def of_source(source: str) -> tuple[Options, Counts, Faults, Limiter]:
        return options, counts[source], faults[source], limiters[source]

    app = web.Application()
    prefixes = ("", PREFIX, GIS, TREASURER, BULK, ASSESSOR_PAGE, RECORDER, LEGACY)
    app.add_routes([web.get(f"{path}/robots.txt", _robots) for path in prefixes])
    assessor = Assessor(county, *of_source("assessor"))
    gis = Gis(county, options.gis_parcels, *of_source("gis"))
    page = AssessorPage(county, *of_source("assessor_page"))
    treasurer = Treasurer(county, *of_source("treasurer"))
    files = Files(
        county, options.affidavits, options.affidavits_dirty, *of_source("bulk"), options.gis_parcels
    )
    try:
        today = (
            dt.date.fromisoformat(options.recorder_today) if options.recorder_today else today_in_phoenix()
        )
    except ValueError as error:
        raise SandboxError(f"recorder_today: {error}") from None
    documents = Documents(county.seed, today, options.recorder_daily, options.recorder_rush)
    app.add_routes(_control(county, documents, counts, faults, limiters, options))
    recorder = Recorder(documents, options, counts, faults, limiters, county.seed)
    app.on_cleanup.append(files.close)
    app.router.add_get(TREASURER + "/{path:.*}", treasurer.handle, allow_head=False)
    app.router.add_get(BULK + "/{path:.*}", files.handle, allow_head=False)
    for path in (RECORDER, LEGACY, STORAGE):
        app.router.add_route("*", path + "/{path:.*}", recorder.handle)
    app.router.add_get(PREFIX + "/{path:.*}", assessor.handle, allow_head=False)
    app.router.add_get(ASSESSOR_PAGE + "/{path:.*}", page.handle, allow_head=False)
    for method in ("GET", "POST"):
        app.router.add_route(method, GIS + "/{path:.*}", gis.handle)
    return app


async def _robots(_: web.Request) -> web.Response:
    return web.Response(text=_ROBOTS)


def _answer(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


_CONDUCT = ("latency", "rate", "burst", "retry_after", "slow_down", "recorder_indexed", "treasurer_skin")


def _control(
    county: County,
    documents: Documents,
    counts: Mapping[str, Counts],
    faults: Mapping[str, Faults],
    limiters: Mapping[str, Limiter],
    options: Options,
) -> web.RouteTableDef:
    """Return the paths that are not the county's: they are never counted, delayed or refused."""
    routes = web.RouteTableDef()

    @routes.get("/_stats")
    async def stats(_: web.Request) -> web.Response:
        return _answer({name: each.report() for name, each in counts.items()})

    @routes.post("/_reset")
    async def reset(_: web.Request) -> web.Response:
        for each in counts.values():
            each.reset()
        for limiter in limiters.values():
            limiter.reset()
        return _answer({})

    @routes.get("/_apns")
    async def apns(request: web.Request) -> web.Response:
        count, absent = (request.query.get(name, "0") for name in ("count", "absent"))
        if not (count.isdecimal() and absent.isdecimal()):
            return _answer({"error": "count and absent are whole numbers"}, 400)
        return web.Response(
            text="".join(f"{apn}\n" for apn in county.apns(int(count)) + county.absent(int(absent)))
        )

    @routes.get("/_changes")
    async def changes(request: web.Request) -> web.Response:
        count, since = (request.query.get(name, "0") for name in ("count", "since"))
        if not (count.isdecimal() and since.isdecimal() and int(since) <= county.epoch):
            return _answer({"error": f"count is a whole number, since an epoch up to {county.epoch}"}, 400)
        source = request.query.get("source", "assessor")
        if source not in CHANGING:
            return _answer({"error": f"source is {', '.join(CHANGING)}"}, 400)
        apns = county.apns(int(count))
        found = [
            (apn, *change) for apn in apns for change in of_parcel(county, documents, apn, int(since), source)
        ]
        return _answer(
            {"changes": [dict(zip(("apn", "table", "key", "old", "new"), one, strict=True)) for one in found]}
        )

    @routes.post("/_faults")
    async def set_faults(request: web.Request) -> web.Response:
        try:
            settings = orjson.loads(await request.read())
            if not isinstance(settings, dict):
                raise FaultError("faults are an object, by name")
            of_source = faults[request.query.get("source", "assessor")]
            of_source.set(settings)
        except (KeyError, ValueError) as error:
            return _answer({"error": str(error)}, 400)
        return _answer(of_source.report())

    @routes.post("/_conduct")
    async def conduct(request: web.Request) -> web.Response:
        try:
            changes = orjson.loads(await request.read())
            if not isinstance(changes, dict) or not changes.keys() <= set(_CONDUCT):
                raise ValueError(f"conduct is an object of {', '.join(_CONDUCT)}")
            changed = replace(options, **changes)
            skin_of(changed.treasurer_skin)
            source = request.query.get("source")
            for limiter in [limiters[source]] if source else limiters.values():
                limiter.change(changed.rate, changed.burst, changed.retry_after, changed.slow_down)
        except (KeyError, TypeError, ValueError) as error:
            return _answer({"error": str(error)}, 400)
        if source:
            return _answer(changes)
        for name in changes:
            setattr(options, name, changes[name])
        return _answer({name: getattr(options, name) for name in _CONDUCT})

    @routes.delete("/_faults")
    async def clear_faults(_: web.Request) -> web.Response:
        for each in faults.values():
            each.clear()
        return _answer({})

    return routes


def serve(
    county: County,
    options: Options | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[int], None],
    stop: Callable[[Callable[[], None]], None] | None = None,
    access_log: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` gets the port once it listens; `stop`, the function that ends
    the server.

    Raises SandboxError: a host that is not this machine, a port in use, options that make no sense.
    """
    app = build_app(county, options)
    listening = _listen(host, port)
    with contextlib.closing(listening):
        asyncio.run(_run(app, listening, ready, stop, access_log))


def _listen(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise SandboxError(f"{host} is not an address of this machine alone; the sandbox serves on 127.0.0.1")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise SandboxError(f"port {port} on {host} is in use; choose another with --port") from None
        raise SandboxError(f"cannot listen on port {port} of {host}: {error}") from None
    return listening


async def _run(
    app: web.Application,
    listening: socket.socket,
    ready: Callable[[int], None],
    stop: Callable[[Callable[[], None]], None] | None,
    access_log: bool,
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only the main thread has signals.
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    if stop:
        stop(partial(_wake, loop, stopped))
    log = {"access_log_class": _AccessLogger} if access_log else {"access_log": None}
    runner = web.AppRunner(app, shutdown_timeout=_GOODBYE_S, **log)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        ready(listening.getsockname()[1])
        await stopped.wait()
    finally:
        await runner.cleanup()


def _wake(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # The loop may have ended by itself.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stopped.set)


class _AccessLogger(AbstractAccessLogger):
    """Method, path, status, size and milliseconds of each answer; never a header."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        size = response.body_length
        logging.getLogger("sandbox").info(
            "%s %s %d %d B %.1f ms", request.method, request.path_qs, response.status, size, time * 1000
        )
