"""What a child process is given: of the environment what programs need everywhere, and nothing that is a
secret of ours; no core dumps.

A token or a database's address would be seen by whoever looks at the child, and by all that it loads.
"""

import os
import re
import resource

_NAMES = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TZ", "LANG", "LANGUAGE", "TMPDIR", "TMP", "TEMP",
    "COLUMNS", "LINES", "TERM",
    # Libraries, fonts, a display.
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    # The network as this machine has it.
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    # Windows.
    "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
    "PROGRAMDATA", "PROGRAMFILES",
    "PROGRAMFILES(X86)",
))  # fmt: skip
_USER = re.compile(r"(?<=//)[^/]*@|^[^/]*@")
_BEGINNINGS = ("LC_", "XDG_", "FONTCONFIG_")


def dump_no_core() -> None:
    """Leave no memory on the disk when this process, or a browser or a server that it starts, crashes: the
    token is in it, and records.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def essential(*more: str) -> dict[str, str]:
    """Return the environment for a child; `more` are the beginnings of further names that it needs, such as
    `PG`.
    """
    beginnings = (*_BEGINNINGS, *more)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _NAMES or name.startswith(beginnings)
    }
    # A proxy's user and password are for us alone: none of these programs takes them from here.
    return {
        name: _USER.sub("", value) if name.upper().endswith("_PROXY") else value
        for name, value in kept.items()
    }
