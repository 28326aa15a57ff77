"""A file that a person asked for: whole or not there, and never over something that is not ours."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

_HEAD = 4096
_SYSTEM_S = (Path("/"), Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


@contextmanager
def new_file(path: Path, mode: Literal["w", "wb"] = "w", ours: bytes | None = None) -> Iterator[IO[Any]]:
    """Open a file that is not there yet, text as UTF-8; until all is in it its name ends in .part, and after
    an error it is gone.

    What is there already is refused, but for what is no file (a pipe, a terminal), an empty file, and one
    that has the words `ours` in its beginning: they are written in place, but not through a symbolic link.
    Raises OSError, whose strerror is one line with the remedy.
    """
    options: dict[str, Any] = {} if mode == "wb" else {"encoding": "utf-8", "newline": ""}
    if os.path.lexists(path):
        refuse_link(path)
        if not _may_be_written(path, ours):
            raise _there(
                path, f"{path.name} is there already; nothing is overwritten: give another name, or remove it"
            )
        with open(path, mode, **options, opener=_not_through) as file:
            yield file
        return
    part = path.with_name(f"{path.name}.part")
    try:
        file = part.open(mode.replace("w", "x"), **options)
    except FileExistsError:
        raise _there(
            part, f"{part.name} is there already: another command writes it, or was killed; remove it"
        ) from None
    except FileNotFoundError:
        if path.parent.is_dir():
            raise
        raise FileNotFoundError(
            errno.ENOENT, f"there is no folder {path.parent}; make it first", str(path)
        ) from None
    try:
        with file:
            yield file
        if os.path.lexists(path):
            raise _there(path, f"{path.name} has come meanwhile; nothing is overwritten: give another name")
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def refuse_link(path: Path) -> None:
    """Return when a file or folder that is written to is no symbolic link: where it leads, nobody said.
    Raises OSError.

    Those of the system are let by: /dev/stdout, and /tmp of macOS.
    """
    if (
        path.is_symlink()
        and path.parent not in _SYSTEM_S
        and not path.is_char_device()
        and not path.is_fifo()
    ):
        there = (
            f"{path.name} is there already, as a symbolic link; nothing is written through one: name what it"
            " leads to, or remove it"
        )
        raise _there(path, there)


def _not_through(path: str, flags: int) -> int:
    # It may have become a link since.
    is_system_s = Path(path).parent in _SYSTEM_S
    return os.open(path, flags | (0 if is_system_s or not Path(path).is_file() else os.O_NOFOLLOW), 0o666)


def _may_be_written(path: Path, ours: bytes | None) -> bool:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.is_file():
        return path.exists()
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or (ours is not None and ours in head)


def _there(path: Path, message: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, message, str(path))
