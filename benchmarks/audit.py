"""`make audit`: known holes in the locked versions (pip-audit), told by the service of the Python Package
Index; needs the network.
"""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt")
_MOST_S = 180


def main() -> int:
    """Return 0 when no hole is known, 1 when one is, 2 when nobody could be asked."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        *(f"--requirement={_ROOT / lock}" for lock in LOCKS),
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner",
        "off",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_S)
    except subprocess.TimeoutExpired:
        print(f"error: the audit did not answer within {_MOST_S} s; nothing was checked", file=sys.stderr)
        return 2
    if done.returncode == 0:
        print(f"no known hole in the versions of {' and '.join(LOCKS)}")
        return 0
    if "Found" in done.stderr and "known vulnerabilit" in done.stderr:
        print(done.stdout.rstrip())
        print(f"error: {done.stderr.strip().splitlines()[0]}", file=sys.stderr)
        return 1
    if "No module named" in done.stderr:
        print(
            "error: pip-audit is not installed; `make setup` installs it; nothing was checked",
            file=sys.stderr,
        )
        return 2
    reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
    print(
        f"error: the service of known holes cannot be asked ({reason.strip()[:200]}); nothing was checked",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
