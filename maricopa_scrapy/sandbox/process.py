"""A sandbox county in a process of its own, for tests, the demo and benchmarks."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from maricopa_scrapy.machine.child_environment import essential
from maricopa_scrapy.sandbox.answers.rate_limiter import RetryAfter
from maricopa_scrapy.sandbox.server import SandboxError

_LISTENING = "listening on "
_STOP_S = 3.0
_ASK_S = 30.0


class SandboxProcess:
    """A context manager: the sandbox listens inside it, and is gone after it, or with this process.

    Options are those of server.Options and County; `faults` maps a fault's name to its probability or its
    options.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        epoch: int = 0,
        existing: float = 0.98,
        changed: float | None = None,
        port: int = 0,
        latency: float = 0.0,
        rate: float | None = None,
        burst: float | None = None,
        retry_after: RetryAfter = "none",
        slow_down: bool = False,
        faults: Mapping[str, Any] | None = None,
        token: str | None = None,
        compress: bool = True,
        track: bool = False,
        access_log: bool = False,
        gis_parcels: int | None = None,
        recorder_daily: int | None = None,
        recorder_rush: int | None = None,
        recorder_today: str | None = None,
        recorder_indexed: str | None = None,
        affidavits: int | None = None,
        affidavits_dirty: int | None = None,
        treasurer_skin: str | None = None,
    ) -> None:
        values = {
            "seed": seed, "epoch": epoch, "existing": existing, "changed": changed, "port": port,
            "latency": latency,
            "rate": rate, "burst": burst,
            "retry-after": retry_after, "token": token, "gis-parcels": gis_parcels,
            "recorder-daily": recorder_daily, "recorder-rush": recorder_rush,
            "recorder-today": recorder_today,
            "recorder-indexed": recorder_indexed,
            "affidavits": affidavits, "affidavits-dirty": affidavits_dirty, "treasurer-skin": treasurer_skin,
        }  # fmt: skip
        flags = {
            "no-compress": not compress,
            "slow-down": slow_down,
            "track": track,
            "access-log": access_log,
        }
        self._arguments = [f"--{name}={value}" for name, value in values.items() if value is not None]
        self._arguments += [f"--{name}" for name, is_on in flags.items() if is_on]
        self._first_faults = faults
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        """Start it and wait until it listens. Raises SandboxError."""
        command = [sys.executable, "-m", "maricopa_scrapy.sandbox", "--until-stdin-ends", *self._arguments]
        with tempfile.TemporaryFile("w+") as errors:
            self._process = self._start(command, _environment(), errors)
            assert self._process.stdout
            line = self._process.stdout.readline()
            if not line.startswith(_LISTENING):
                self.__exit__(None, None, None)
                errors.seek(0)
                raise SandboxError(
                    errors.read().strip().removeprefix("error: ") or "the sandbox did not start"
                )
        self.url = line.removeprefix(_LISTENING).strip()
        if self._first_faults:
            self.faults(self._first_faults)
        return self

    def _start(
        self, command: list[str], environment: dict[str, str], errors: IO[str]
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def stats(self) -> dict[str, Any]:
        """Return what each source has seen: {"assessor": {"requests": 3, "by_kind": {...}, ...}}."""
        return self._ask("GET", "/_stats")

    def faults(self, settings: Mapping[str, Any], source: str = "assessor") -> dict[str, Any]:
        """Add or replace faults, as server.Options.faults; returns those in force. Raises SandboxError."""
        return self._ask("POST", f"/_faults?source={source}", settings)

    def clear_faults(self) -> None:
        """Answer well again."""
        self._ask("DELETE", "/_faults")

    def conduct(self, source: str = "", **changes: Any) -> dict[str, Any]:
        """Change latency, rate, burst, retry_after, slow_down, recorder_indexed or treasurer_skin while it
        serves; of one source, its rate.

        Raises SandboxError.
        """
        return self._ask("POST", f"/_conduct?source={source}" if source else "/_conduct", changes)

    def changes(self, count: int, since: int, source: str = "assessor") -> list[dict[str, Any]]:
        """Return what the first `count` parcels say otherwise than in an earlier epoch: apn, the county's
        table and key, old, new.

        `source`: assessor, treasurer or recorder (see changes.of_parcel). Raises SandboxError.
        """
        found: list[dict[str, Any]] = self._ask(
            "GET", f"/_changes?count={count}&since={since}&source={source}"
        )["changes"]
        return found

    def reset(self) -> None:
        """Forget all counts and fill the rate budget; faults stay."""
        self._ask("POST", "/_reset")

    def _ask(self, method: str, path: str, value: Any = None) -> dict[str, Any]:
        # Not urllib: it would send a request for this machine to a proxy named in the environment.
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_ASK_S)
        try:
            connection.request(method, path, None if value is None else json.dumps(value))
            response = connection.getresponse()
            body = json.loads(response.read())
        except OSError as error:
            raise SandboxError(f"the sandbox on {self.url} does not answer: {error}") from None
        finally:
            connection.close()
        if response.status != 200:
            raise SandboxError(body["error"])
        assert isinstance(body, dict)
        return body


def _environment() -> dict[str, str]:
    """Return an environment without secrets, by which the child finds the package where it lies."""
    root = Path(__file__).parents[2]
    paths = [
        path
        for path in (os.environ.get("PYTHONPATH"), None if root.name == "site-packages" else str(root))
        if path
    ]
    return essential("PYTHON", "COVERAGE") | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})
