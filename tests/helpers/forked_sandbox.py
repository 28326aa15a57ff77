"""Sandbox counties without their imports, which are most of the work of one that serves a test."""

import os
import subprocess
from typing import IO, cast

from maricopa_scrapy.sandbox.process import SandboxProcess
from tests.helpers.forked import CAN_FORK, Forked


class ForkedSandbox(SandboxProcess):
    """A sandbox that is forked."""

    def _start(
        self, command: list[str], environment: dict[str, str], errors: IO[str]
    ) -> "subprocess.Popen[str]":
        if not CAN_FORK:
            return super()._start(command, environment, errors)
        their_stdin, our_stdin = os.pipe()
        our_stdout, their_stdout = os.pipe()
        try:
            process = Forked(command, environment, their_stdin, their_stdout, errors.fileno())
        finally:
            os.close(their_stdin)
            os.close(their_stdout)
        process.stdin, process.stdout = os.fdopen(our_stdin, "w"), os.fdopen(our_stdout)
        return cast("subprocess.Popen[str]", process)
