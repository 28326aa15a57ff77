"""Which machine this is, and whether a process of it is still there."""

import socket
from pathlib import Path

import psutil


def is_alive(pid: int, started: float) -> bool:
    """Whether the process that began at `started`, seconds since 1970, runs."""
    try:
        process = psutil.Process(pid)
        # Told from the time of boot, which a stepped clock moves. A zombie is only waited for.
        return abs(process.create_time() - started) < 60.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def node_name() -> str:
    """Return the name of this machine, or of this container on it."""
    # Two containers may share a host name, but not a process id space.
    space = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{space.readlink()}" if space.exists() else socket.gethostname()
