"""`maricopa probe` as a user starts it, in a process of its own, and what is in its bundles."""

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers import forked


@dataclass
class Probed:
    """A finished `maricopa probe`, and the folder of its bundles."""

    code: int
    out: str
    errors: str
    folder: Path

    def bundle(self, source: str) -> dict[str, bytes]:
        """The files of a source's bundle, by name."""
        (path,) = self.folder.glob(f"probe-{source}-2*.zip")
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    def findings(self, source: str) -> dict[str, dict[str, Any]]:
        """The findings of a source, by assumption."""
        return {one["assumption"]: one for one in json.loads(self.bundle(source)["table.json"])["findings"]}

    def broken(self, source: str) -> dict[str, str]:
        """The evidence and what follows of each assumption that did not hold."""
        return {
            name: f"{one['evidence']} | {one['follows']}"
            for name, one in self.findings(source).items()
            if one["held"] is False
        }


@dataclass
class Probe:
    """Starts the command; bundles go to folders below `folder`. `rate`: requests a second, None the shipped
    ones.
    """

    sandbox: str
    folder: Path
    rate: float | None = 200
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, yes: bool = True, timeout: float = 110) -> Probed:
        out = self.folder / f"out-{len(list(self.folder.glob('out-*')))}"
        out.mkdir()
        command = ["probe", *arguments, "--out", str(out), *(["--yes"] if yes else [])]
        if self.rate:
            command += ["-s", f"MARICOPA_RATE_LIMIT={self.rate}"]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")
        } | {"COLUMNS": "200"}
        if self.sandbox:
            environment["MARICOPA_SANDBOX"] = self.sandbox
        done = forked.run(
            "maricopa_scrapy", *command, environment=environment | self.environment, timeout=timeout
        )
        return Probed(done.returncode, done.stdout, done.stderr, out)
