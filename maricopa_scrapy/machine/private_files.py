"""Folders and logs that nobody else on the machine may read: what they hold are people's records, and
addresses.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import platformdirs

_FOLDER = 0o700
_FILE = 0o600


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are not there, for ourselves alone; one that is there stays as it
    is. Raises OSError.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=_FOLDER, exist_ok=True)
    if not folder.is_dir():
        folder.mkdir()


def private(path: str, flags: int) -> int:
    """Open a file for ourselves alone, as an `opener` of `open`; nothing is written through a symbolic link.
    Raises OSError.
    """
    return os.open(path, flags | os.O_NOFOLLOW, _FILE)


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to, which only we may read, also one that an older version left open to others.
    Raises OSError.
    """
    # Without waiting for whoever reads a FIFO that stands there.
    number = os.open(
        path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, _FILE
    )
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    # Another's, that we may write to, stays as it is.
    with suppress(PermissionError):
        os.fchmod(number, _FILE)
    return os.fdopen(number, "ab")


def default_data_dir() -> Path:
    """Return MARICOPA_DATA_DIR, else /var/lib/maricopa_scrapy for root, else the user's data folder."""
    if named := os.environ.get("MARICOPA_DATA_DIR"):
        return Path(named).expanduser()
    if os.geteuid() == 0:
        return Path("/var/lib/maricopa_scrapy")
    return Path(platformdirs.user_data_dir("maricopa_scrapy"))
