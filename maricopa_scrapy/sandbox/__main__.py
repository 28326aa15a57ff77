"""python -m maricopa_scrapy.sandbox: the sandbox county on this machine, until Ctrl-C."""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable

from maricopa_scrapy.sandbox.answers.faults import NAMES
from maricopa_scrapy.sandbox.answers.rate_limiter import RETRY_AFTER
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.server import Options, SandboxError, serve
from maricopa_scrapy.sandbox.treasurer.skins import SKINS


def _fault(text: str) -> tuple[str, float]:
    name, _, probability = text.partition("=")
    try:
        return name, float(probability or 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=probability") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maricopa sandbox", description=__doc__, epilog=f"faults: {', '.join(NAMES)}"
    )
    parser.add_argument("--host", default="127.0.0.1", help="an address of this machine alone")
    parser.add_argument("--port", type=int, default=8642, help="0: any that is free")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another county")
    parser.add_argument("--epoch", type=int, default=0, help="the county after so many periods of change")
    parser.add_argument(
        "--changed",
        type=float,
        help="part of the parcels that a period changes; then all offices tell the same changes",
    )
    parser.add_argument(
        "--existing", type=float, default=0.98, help="part of the well-formed APNs that exist"
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, help="requests per second; 429 beyond")
    parser.add_argument("--burst", type=float, help="requests that may be saved up (default: one second's)")
    parser.add_argument("--retry-after", choices=RETRY_AFTER, default="none", help="header of the 429")
    parser.add_argument(
        "--slow-down", action="store_true", help="requests beyond the rate wait instead of getting a 429"
    )
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="NAME=PROBABILITY",
        help="may be repeated",
    )
    parser.add_argument("--token", help="refuse with 401 whoever does not send it")
    parser.add_argument("--no-compress", action="store_true", help="never gzip")
    parser.add_argument("--track", action="store_true", help="count the fetches of each parcel")
    parser.add_argument("--gis-parcels", type=int, default=1_760_000, help="rows of the GIS layers")
    parser.add_argument("--recorder-daily", type=int, default=300, help="documents of a working day")
    parser.add_argument("--recorder-rush", type=int, default=0, help="liens more on one working day a month")
    parser.add_argument("--recorder-today", help="the recorder's last day, YYYY-MM-DD (default: today)")
    parser.add_argument(
        "--recorder-indexed", help="the last day whose names are indexed (default: two days before)"
    )
    parser.add_argument("--affidavits", type=int, default=20_000, help="lines of the Sales Affidavits file")
    parser.add_argument(
        "--affidavits-dirty", type=int, default=5, help="of them, lines that are not of its shape"
    )
    parser.add_argument(
        "--treasurer-skin", choices=SKINS, default="plain", help="how the treasurer's page is shown"
    )
    parser.add_argument("--access-log", action="store_true", help="a line on stderr for each answer")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="stop when the process that holds stdin is gone"
    )
    return parser


def _watch_stdin(stop: Callable[[], None]) -> None:
    def wait() -> None:
        # Not sys.stdin: its lock, held by a thread, delays the end of the process by a second.
        while os.read(0, 1024):
            pass
        stop()

    threading.Thread(target=wait, daemon=True).start()


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def main(arguments: list[str] | None = None, *, announce: bool = False) -> int:
    """Serve; returns the exit code: 2 for a mistake in the options. `announce` also says how to use it."""
    args = _parser().parse_args(arguments)
    if args.access_log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = Options(
        latency=args.latency,
        rate=args.rate,
        burst=args.burst,
        retry_after=args.retry_after,
        slow_down=args.slow_down,
        faults=dict(args.fault),
        token=args.token,
        compress=not args.no_compress,
        track=args.track,
        gis_parcels=args.gis_parcels,
        recorder_daily=args.recorder_daily,
        recorder_rush=args.recorder_rush,
        recorder_today=args.recorder_today,
        recorder_indexed=args.recorder_indexed,
        affidavits=args.affidavits,
        affidavits_dirty=args.affidavits_dirty,
        treasurer_skin=args.treasurer_skin,
    )

    def ready(port: int) -> None:
        address = _address(args.host, port)
        sys.stdout.write(f"listening on {address}\n")
        if announce:
            sys.stdout.write(
                "its records are invented; in another terminal, with a database of their own:\n"
                f"  export MARICOPA_SANDBOX={address} MARICOPA_DATA_DIR=/tmp/sandbox-data\n"
                f"  curl -s '{address}/_apns?count=20' > apns.txt\n"
                "  scrapy crawl assessor -a apns=apns.txt -s MARICOPA_RATE_LIMIT=20\n"
                "Ctrl-C ends it.\n"
            )
        sys.stdout.flush()

    try:
        county = County(args.seed, args.epoch, args.existing, args.changed)
        stop = _watch_stdin if args.until_stdin_ends else None
        serve(
            county,
            options,
            host=args.host,
            port=args.port,
            ready=ready,
            stop=stop,
            access_log=args.access_log,
        )
    except (SandboxError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
