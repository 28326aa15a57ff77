"""Certificates that cannot be verified: no fault of a target, and the same for all of them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

# What OpenSSL says of a certificate; and where the error is from that tells another host's.
_UNVERIFIED = "certificate verify failed"
_OTHER_HOST = "service_identity"
_OF_BROWSER = re.compile(r"net::ERR_CERT_\w+")


class Unverified(Exception):
    """A host's certificate cannot be verified; the message is one line with the host and the remedy."""


def check_failure(error: BaseException, url: str) -> None:
    """Return when a download failed for another reason than a certificate. Raises Unverified."""
    host = urlsplit(url).netloc
    for reason in reasons_of(error):
        if type(reason).__module__.startswith(_OTHER_HOST):
            raise Unverified(
                _remedied(host, "it is another host's: a sign-in page of your network, or a proxy?")
            ) from error
        if _UNVERIFIED in str(reason).lower():
            raise Unverified(_remedied(host, _UNVERIFIED)) from error


def check_shown(error: BaseException, url: str) -> None:
    """Return when a page was not shown for another reason than a certificate. Raises Unverified."""
    if said := _OF_BROWSER.search(str(error)):
        raise Unverified(
            f"the browser cannot verify the certificate of {urlsplit(url).netloc} ({said[0]}): behind a proxy"
            " that looks into TLS add its CA to the browser's own list (docs/operations.md); SSL_CERT_FILE,"
            " which the other sources take, is not read by it"
        ) from error


def reasons_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and all that it was raised from: Twisted's hold theirs in lists."""
    yield error
    for failure in getattr(error, "reasons", ()):
        yield from reasons_of(failure.value)
    if error.__cause__ is not None:
        yield from reasons_of(error.__cause__)


def _remedied(host: str, why: str) -> str:
    line = f"the certificate of {host} cannot be verified ({why})"
    named = os.environ.get("SSL_CERT_FILE")
    if named and not Path(named).is_file():
        return f"{line}: SSL_CERT_FILE names {named}, which is no file; correct it"
    if named:
        return (
            f"{line}: {named}, which SSL_CERT_FILE names, has no CA that signed it; add the proxy's or the"
            " host's, or unset the variable"
        )
    return (
        f"{line}: look at this machine's clock; behind a proxy that looks into TLS, put its CA with the"
        " others into one file and name it, SSL_CERT_FILE=/path/to/ca.pem"
    )
