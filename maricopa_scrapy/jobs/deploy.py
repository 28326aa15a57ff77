"""The project as an egg on a scrapyd: built from the package that runs here and the settings that are in
force here.
"""

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from importlib.resources.abc import Traversable

from maricopa_scrapy import __version__, configuration
from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.scrapyd import PROJECT, ScrapydNode

_CONFIG = "maricopa_scrapy/config"
_PKG_INFO = f"Metadata-Version: 2.1\nName: {PROJECT}\nVersion: {__version__}\n"
# What scrapyd looks for, and what it finds. It puts an egg last on Python's path, behind a package of that
# name that is installed there.
_FRONT = "maricopa_scrapy_deployed"
_ENTRY_POINTS = f"[scrapy]\nsettings = {_FRONT}\n"
_FRONT_CODE = f'''"""Moves this egg to the front, so that it is what runs."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from {PROJECT}.settings import *  # noqa
'''
# A byte for byte equal egg for equal files.
_DATE = (2020, 1, 1, 0, 0, 0)


def build() -> bytes:
    """Return the egg: the package as it is imported here, with config/ as configuration.py finds it. Raises
    ConfigError.
    """
    configuration.load()
    files = {path: file.read_bytes() for path, file in _package()}
    written = {
        "EGG-INFO/PKG-INFO": _PKG_INFO,
        "EGG-INFO/entry_points.txt": _ENTRY_POINTS,
        f"{_FRONT}.py": _FRONT_CODE,
    }
    files |= {path: text.encode() for path, text in written.items()}
    egg = io.BytesIO()
    with zipfile.ZipFile(egg, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, files[path])
    return egg.getvalue()


def version(now: dt.datetime) -> str:
    """Return a version's name that sorts after all earlier ones: scrapyd runs the last, and sorts what it
    cannot read by letter.
    """
    return f"{now.astimezone(dt.UTC):%Y%m%d_%H%M%S}-" + re.sub(r"[^A-Za-z0-9]", "_", __version__)


def deploy(node: ScrapydNode) -> tuple[str, int]:
    """Upload the project; returns its version and how many spiders it has there.

    A version that the node cannot load, or would not run, is taken back. Raises ConfigError or NodeError.
    """
    name = version(dt.datetime.now(dt.UTC))
    if PROJECT in node.projects() and not node.versions():
        raise NodeError(
            f"{node.name}: scrapyd was started in a folder with a scrapy.cfg for {PROJECT}, and runs what"
            " lies there, whatever is deployed; start it in a folder of its own, or leave out this step"
        )
    egg = build()
    try:
        spiders = node.add_version(name, egg)
        latest = node.versions()[-1]
        if latest != name:
            raise NodeError(
                f"{node.name}: version {latest} of {PROJECT} sorts after {name} and would be run in its"
                f" place; remove it: curl {node.name}/delversion.json -d project={PROJECT} -d"
                f" version={latest}"
            )
    except NodeError:
        # The first error says more than that there was nothing to remove.
        with suppress(NodeError):
            node.drop_version(name)
        raise
    return name, spiders


def _package() -> Iterator[tuple[str, Traversable]]:
    for path, file in _walk(resources.files("maricopa_scrapy"), "maricopa_scrapy"):
        if not path.startswith(f"{_CONFIG}/"):
            yield path, file
    # What a user's folder does not have comes from the shipped one, but for the sources: they are a whole.
    shipped, used = resources.files("maricopa_scrapy.config"), configuration.config_folder()
    for folder, place in ((shipped, _CONFIG), (used, _CONFIG), (used / "sources", f"{_CONFIG}/sources")):
        for file in folder.iterdir():
            if file.name.endswith(".yaml") or (folder is shipped and file.name == "__init__.py"):
                yield f"{place}/{file.name}", file


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{path}/{entry.name}")
        else:
            yield f"{path}/{entry.name}", entry
