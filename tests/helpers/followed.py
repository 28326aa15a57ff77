"""`scrapy crawl`, run as a program of its own, that notes by which functions of ours a parcel is handed on.

Used as `python tests/helpers/followed.py APN FILE crawl assessor -a apns=APN`; FILE gets JSON: `handed` has
the files in which a function is given the parcel, `passes` the pairs of files of which the first hands it to
the second, `carriers` the classes in which it travels, apart from records.
"""

import json
import sys
import threading
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from scrapy.cmdline import execute

import maricopa_scrapy
from maricopa_scrapy.items import Record

PACKAGE = f"{Path(maricopa_scrapy.__file__).parent}/"
# Deeper than a list of targets in a lease nothing travels.
_DEEP, _WIDE = 3, 50
# Given to many, and asked for something else: who holds the run holds its arguments.
_SERVICES = {"Run"}


class Follower:
    """Looks at the arguments of each call of a function of ours."""

    def __init__(self, apn: str) -> None:
        self._notations = (apn, f"{apn[:3]}-{apn[3:5]}-{apn[5:]}")
        self.handed: set[str] = set()
        self.passes: set[tuple[str, str]] = set()
        self.carriers: set[str] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE) or "/sandbox/" in code.co_filename:
            return
        count = code.co_argcount + code.co_kwonlyargcount
        names = [name for name in code.co_varnames[:count] if name not in ("self", "cls")]
        if not any(self._has(frame.f_locals.get(name)) for name in names):
            return
        callee = code.co_filename.removeprefix(PACKAGE)
        self.handed.add(callee)
        caller = frame.f_back
        while caller and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        if caller and (by := caller.f_code.co_filename.removeprefix(PACKAGE)) != callee:
            self.passes.add((by, callee))

    def _has(self, value: Any, depth: int = 0, is_inside: bool = False) -> bool:
        if isinstance(value, str):
            return value in self._notations
        if depth == _DEEP:
            return False
        if isinstance(value, (list, tuple)):
            return any(self._has(one, depth + 1) for one in value[:_WIDE])
        if isinstance(value, dict):
            return any(self._has(one, depth + 1) for one in list(value.values())[:_WIDE])
        kind = type(value)
        if isinstance(value, Record):
            return any(self._has(getattr(value, name)) for name in type(value).model_fields)
        if not kind.__module__.startswith("maricopa_scrapy.") or kind.__name__ in _SERVICES:
            return False
        if is_dataclass(kind):
            parts = [getattr(value, field.name, None) for field in fields(kind)]
        elif kind.__name__ == "ApnList":
            parts = list(vars(value).values())
        else:
            return False
        has = any(self._has(part, depth + 1, is_inside=True) for part in parts)
        if has and not is_inside:
            self.carriers.add(kind.__name__)
        return has


def main() -> None:
    """Run the crawl; write what was noted, whatever its exit code."""
    apn, path, *command = sys.argv[1:]
    follower = Follower(apn)
    threading.setprofile(follower)
    sys.setprofile(follower)
    try:
        execute(["scrapy", *command])
    finally:
        sys.setprofile(None)
        noted = {
            "handed": sorted(follower.handed),
            "passes": sorted(follower.passes),
            "carriers": sorted(follower.carriers),
        }
        Path(path).write_text(json.dumps(noted))


if __name__ == "__main__":
    main()
