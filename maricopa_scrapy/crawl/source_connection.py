"""Where a source is asked, and what it wants to be told: its manifest, its address, its token."""

import os
from typing import Any
from urllib.parse import urlsplit

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.ledger import yield_floors
from maricopa_scrapy.pace.proxies import proxy_mistake

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StartError(RuntimeError):
    """A run that cannot begin; the message is one line with the remedy."""


def connect_to(
    source: str, needed_paths: tuple[str, ...], settings: Any
) -> tuple[Manifest, str, dict[str, str]]:
    """Return the source's manifest, its address and the headers it wants. Raises StartError."""
    manifest: Manifest | None = settings["MARICOPA_MANIFESTS"].get(source)
    if manifest is None or not set(needed_paths) <= manifest.paths.keys():
        raise StartError(
            f"config/sources has no file of source {source} with the paths {', '.join(needed_paths)}"
        )
    if wrong := yield_floors.mistake(manifest.floors):
        raise StartError(f"config/sources/{source}.yaml: {wrong}")
    sandbox = settings["MARICOPA_SANDBOX"]
    base_url = f"{sandbox.rstrip('/')}/{source}" if sandbox else manifest.base_url.rstrip("/")
    if not sandbox and (mistake := proxy_mistake(base_url)):
        raise StartError(mistake)
    on_loopback = _is_on_loopback(base_url)
    if sandbox and not on_loopback:
        raise StartError(
            f"MARICOPA_SANDBOX={sandbox} is not an address on this machine; `maricopa sandbox` prints one"
        )
    for name in ("MARICOPA_RATE_LIMIT", "MARICOPA_RATE_CEILING"):
        if settings[name] and not _is_rate(settings[name]):
            raise StartError(f"{name}={settings[name]} is not a number of requests per second above zero")
        if settings[name] and not on_loopback:
            raise StartError(
                f"{name} is for the sandbox only; for a county host see api_rate_limit in config.yaml"
            )
    port = settings["MARICOPA_METRICS_PORT"]
    if port not in (None, "") and not (str(port).isdecimal() and int(port) <= 65_535):
        raise StartError(f"MARICOPA_METRICS_PORT={port} is not a port; 0 is any that is free")
    return manifest, base_url, _token_header(manifest, sandbox)


def _is_on_loopback(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK
    except ValueError:
        return False


def _is_rate(value: Any) -> bool:
    try:
        return 0 < float(value) <= 1_000_000
    except (TypeError, ValueError):
        return False


def _token_header(manifest: Manifest, sandbox: str) -> dict[str, str]:
    if not manifest.token_env or not manifest.token_header:
        return {}
    if sandbox:
        return {manifest.token_header: "sandbox"}
    token = os.environ.get(manifest.token_env, "").strip()
    if not token:
        raise StartError(
            f"{manifest.token_env} is not set: {manifest.token_help}, then `export {manifest.token_env}=...`;"
            " the sandbox county needs none (`maricopa sandbox`)"
        )
    return {manifest.token_header: token}
