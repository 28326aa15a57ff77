"""The proxies that the environment names (HTTPS_PROXY and its kin): which one is asked, and what is wrong
with one.

Scrapy takes `proxy:3128` of HTTPS_PROXY for a proxy that itself speaks https, which it cannot ask; everybody
else takes it for http.
"""

import re
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from maricopa_scrapy.pace.scrapy_internals import OpenHttpProxyMiddleware

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TUNNEL = re.compile(r"CONNECT tunnel with proxy (?P<proxy>\S+) \[(?P<said>.*)\]", re.DOTALL)
_STATUS = re.compile(r"'status': (?P<status>\d+), 'reason': b(?P<quote>['\"])(?P<reason>.*)(?P=quote)")
_FORM = "http://host:port, or http://user:password@host:port"


class Proxies(OpenHttpProxyMiddleware):
    """Scrapy's, but that a proxy without a scheme speaks http."""

    def address(self, url: str) -> str:
        """Return the address that a proxy's name stands for."""
        return _with_scheme(url)


def proxy_mistake(url: str) -> str | None:
    """Return what is wrong with the proxy by which an address would be asked; None when there is none, or
    nothing is wrong.
    """
    parts = urlsplit(url)
    named = getproxies().get(parts.scheme, "")
    if not named or (parts.hostname and proxy_bypass(parts.hostname)):
        return None
    variable = f"{parts.scheme.upper()}_PROXY"
    try:
        proxy = urlsplit(_with_scheme(named))
        is_address = bool(proxy.hostname) and proxy.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        # Not what it says: a part of it may be a password.
        return f"{variable} is not the address of a proxy; the form is {_FORM}"
    if proxy.scheme != "http":
        where = f"{proxy.scheme}://{proxy.hostname}"
        return (
            f"{variable} names {where}: of proxies only those that speak http can be asked; the form is"
            f" {_FORM}"
        )
    return None


def proxy_with_password(url: str) -> dict[str, str] | None:
    """Return the proxy by which a browser is to show an address, as Playwright takes it; None where it finds
    the way by itself.

    Of the environment a browser takes the place of a proxy, and neither user nor password.
    """
    parts = urlsplit(url)
    proxy = urlsplit(_with_scheme(getproxies().get(parts.scheme, "")))
    if not proxy.username or (parts.hostname and proxy_bypass(parts.hostname)):
        return None
    place = {
        "server": f"{proxy.scheme}://{proxy.hostname}:{proxy.port or 80}",
        "bypass": getproxies().get("no", ""),
    }
    return place | {"username": unquote(proxy.username), "password": unquote(proxy.password or "")}


def tunnel_refused(error: str) -> str:
    """Return in words what Scrapy's TunnelError says; the proxy is named, so that nobody looks for the fault
    at the county.
    """
    found = _TUNNEL.search(error)
    if found is None:
        return error
    if status := _STATUS.search(found["said"]):
        if status["status"] == "407":
            return wants_password(found["proxy"])
        return (
            f"the proxy {found['proxy']} opened no way to the host: HTTP {status['status']}"
            f" {status['reason']}".rstrip()
        )
    return f"the proxy {found['proxy']} opened no way to the host: {found['said']}"


def wants_password(proxy: str) -> str:
    """Return what a 407 means."""
    return f"the proxy {proxy} wants a user and a password (HTTP 407): put them into HTTPS_PROXY, {_FORM}"


def _with_scheme(url: str) -> str:
    return url if _SCHEME.match(url) else f"http://{url.removeprefix('//')}"
