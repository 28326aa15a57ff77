"""python -m benchmarks.licences: write docs/licences.md, the licences of the locked packages as they declare
them themselves.
"""

import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
_HEAD = """# Licences of the dependencies

maricopa_scrapy is under the MIT licence. These are the packages of requirements.txt and, for development,
requirements-dev.txt, with the licence that each declares. Written by
`python -m benchmarks.licences`; a test compares.

| package | licence |
|---|---|
"""
_LOCKS = ("requirements.txt", "requirements-dev.txt")
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_MOST = 60


def plain(name: str) -> str:
    """Return a package's name in its one normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> list[str]:
    """Return the packages of both locks."""
    return sorted({plain(name) for lock in _LOCKS for name in _LOCKED.findall((ROOT / lock).read_text())})


def licence(package: Distribution) -> str:
    """Return what a package says: its SPDX expression, else its classifiers, else the first line of its
    licence field.
    """
    said = package.metadata
    if "License-Expression" in said:
        return said["License-Expression"]
    classified = [
        one.rsplit(" :: ", 1)[1] for one in said.get_all("Classifier") or [] if one.startswith("License ::")
    ]
    if classified and classified != ["OSI Approved"]:
        return ", ".join(classified)
    lines = (said.get_all("License") or [""])[0].strip().splitlines()
    return lines[0][:_MOST] if lines else "not declared"


def page() -> str:
    """Return the page. Packages of other systems, which are not installed here, keep the line that they
    have.
    """
    known = (
        dict(re.findall(r"^\| (\S+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)) if PAGE.exists() else {}
    )
    installed = {plain(one.metadata["Name"]): licence(one) for one in distributions()}
    return _HEAD + "".join(
        f"| {name} | {installed.get(name) or known.get(name) or 'not declared'} |\n" for name in locked()
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(locked())} packages\n")
