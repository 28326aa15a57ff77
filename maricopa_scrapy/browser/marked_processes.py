"""The browser's processes: marked when they are started, so that it is sure which ones must end.

A browser ends with the process that started it: its driver's pipe closes. What that should ever miss is ended
by the next start, from a note in the data folder. A process is known by the mark on its command line: by then
its number may be another's, and a name says nothing.
"""

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import playwright
import psutil

from maricopa_scrapy.machine.private_files import default_data_dir, make_folder, private
from maricopa_scrapy.machine.processes import is_alive, started_of

logger = logging.getLogger(__name__)

# A switch that no browser knows: it is ignored.
_SWITCH = "--maricopa-crawl="
_DRIVER = str(Path(playwright.__file__).parent / "driver" / "package" / "cli.js")


class MarkedProcesses:
    """The browsers that this crawl starts with `switch` on their command lines. Those of crawls that are gone
    are ended at once.
    """

    def __init__(self) -> None:
        mark = uuid.uuid4().hex
        self.switch = _SWITCH + mark
        self._folder = default_data_dir() / "browsers"
        self._file = self._folder / f"{mark}.json"
        self._is_noted = False
        self._sweep()

    def note(self) -> None:
        """Write down that there will be one. Comes before the start: what is cut short in the middle of it is
        found too.
        """
        self._is_noted = True
        note = {"crawl": (os.getpid(), started_of(os.getpid())), "switch": self.switch}
        try:
            make_folder(self._folder)
            with open(self._file, "w", encoding="utf-8", opener=private) as file:
                json.dump(note, file)
        except OSError as error:
            logger.warning("the browser's mark could not be noted: %s", error)

    def end(self) -> None:
        """Kill them all, with what they started."""
        if self._is_noted:
            _end(self.switch)

    def forget(self) -> None:
        """There are none any more."""
        self._is_noted = False
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for file in self._folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                note = json.loads(file.read_text())
                if is_alive(*note["crawl"]):
                    continue
                if (switch := str(note.get("switch", ""))).startswith(_SWITCH):
                    for pid in _end(switch):
                        logger.warning("browser %d ended, which a crawl that is gone left behind", pid)
                file.unlink(missing_ok=True)


def end_drivers() -> None:
    """Kill Playwright's drivers among this process's own children."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if _DRIVER in child.cmdline():
                child.kill()


def _end(switch: str) -> list[int]:
    """Kill the processes with this switch, and all below them; returns the numbers of the former."""
    ended = []
    for process in _marked(switch):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            below = process.children(recursive=True)
            # psutil refuses when the number has become another's since it was seen.
            process.kill()
            ended.append(process.pid)
            for each in below:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    each.kill()
    return ended


def _marked(switch: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if switch in process.cmdline():
                yield process
