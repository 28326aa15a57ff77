"""Which machine this is, and whether a process of it is still there: told by what no setting of a clock moves."""

import socket
from contextlib import suppress
from pathlib import Path

import psutil

# A start in seconds since 1970, as older versions noted it, is told from the time of boot, which a stepped clock moves.
_SAME_START_S = 60.0


def started_of(pid: int) -> float:
    """Return when a process began: clock ticks since boot; where there is no /proc, the kernel's own note in seconds since 1970.

    Raises psutil.NoSuchProcess.
    """
    with suppress(OSError, ValueError, IndexError):
        # The name, the second field, may hold blanks and brackets; the start is the 22nd.
        return float(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return psutil.Process(pid).create_time()


def is_alive(pid: int, started: float) -> bool:
    """Whether the process runs that began at `started`, as `started_of` tells it."""
    try:
        process = psutil.Process(pid)
        is_it = started_of(pid) == started or abs(process.create_time() - started) < _SAME_START_S
        # A zombie is only waited for.
        return is_it and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by SIGSTOP, Ctrl-Z or a debugger: it says nothing until it goes on."""
    with suppress(psutil.Error):
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    return False


def node_name() -> str:
    """Return the name of this machine, or of this container on it, since it was booted: its processes are others after it."""
    # Two containers may share a host name, but not a process id space.
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    return "/".join(parts)
