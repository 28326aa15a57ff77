"""Which machine this is, and whether a process of it is still there: told by what no setting of a clock
moves.
"""

import socket
from contextlib import suppress
from pathlib import Path

import psutil

# A start in seconds since 1970, as older versions noted it, is told from the time of boot, which a stepped
# clock moves.
_SAME_START_S = 60.0


def started_of(pid: int) -> float:
    """Return when a process began: clock ticks since boot; where there is no /proc, the kernel's own note in
    seconds since 1970.

    Raises psutil.NoSuchProcess.
    """
    with suppress(OSError, ValueError, IndexError):
        # The name, the second field, may hold blanks and brackets; the start is the 22nd.
        return float(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return psutil.Process(pid).create_time()


def process_of(pid: int) -> str:
    """Return what tells a process from all others of this machine: its boot, and the start. Raises
    psutil.NoSuchProcess.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{boot.read_text().strip() if boot.exists() else '-'} {started_of(pid):.2f}"


def is_alive(pid: int, known: str | float) -> bool:
    """Whether the process runs that `known` tells of, as `process_of` or `started_of` say it."""
    try:
        process = psutil.Process(pid)
        if isinstance(known, str):
            is_it = process_of(pid) == known
        else:
            is_it = started_of(pid) == known or abs(process.create_time() - known) < _SAME_START_S
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
    """Return the name of this machine, or of this container on it."""
    # Two containers may share a host name, but not a process id space.
    space = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{space.readlink()}" if space.exists() else socket.gethostname()
