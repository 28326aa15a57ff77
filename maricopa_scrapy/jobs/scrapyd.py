"""A scrapyd node as a place where spiders are started; scrapyd 1.5 or later, whose API this speaks directly.

scrapyd keeps no exit status, and a node that was started anew has forgotten the crawls that still run there:
what became of a run is for the ledger to say.
"""

import base64
import http.client
import json
import os
import re
import ssl
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from maricopa_scrapy.jobs.executor import NodeError

PROJECT = "maricopa_scrapy"
_FORM = "the form is http://user:password@host:6800"
_CREDENTIALS = "give them as http://user:password@host:6800, or in SCRAPYD_USERNAME and SCRAPYD_PASSWORD"
_ASK_S = 10.0
# scrapyd loads the project before it answers, and answers nobody else meanwhile.
_LOAD_S = 60.0
_LOG_MOST = 64 * 1024
# What schedule.json takes for itself; a spider would never see it.
_TAKEN = frozenset(("project", "spider", "_version", "jobid", "priority", "setting"))
_MULTIPART = "multipart/form-data; boundary="


class ScrapydNode:
    """One scrapyd, by its address; an Executor.

    User and password: those of the address, else those given, else SCRAPYD_USERNAME and SCRAPYD_PASSWORD.
    They are in no message.
    `?max_proc=N` in the address says how many runs the node takes at once, which scrapyd does not tell.
    `settings` go to every run as Scrapy settings, and are seen in the node's process list.
    """

    def __init__(
        self,
        url: str,
        user: str | None = None,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Raises NodeError when this is no address."""
        shown = url.rsplit("@", 1)[-1]
        try:
            parts = urlsplit(url.strip())
            # A bare / ? # in a password would make the rest of it a path, which is shown.
            is_address = (
                parts.scheme in ("http", "https")
                and parts.hostname
                and not parts.fragment
                and "@" not in parts.path + parts.query
            )
            port = parts.port
            options = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        except ValueError:
            is_address = False
        if not is_address:
            raise NodeError(
                f"{shown!r} is not the address of a scrapyd; {_FORM}, and / ? # @ of a password are written"
                " %2F %3F %23 %40"
            )
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", port
        self._path = parts.path.rstrip("/")
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.name = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "") + self._path
        self.capacity = _capacity(self.name, options)
        given = (
            (unquote(parts.username or ""), unquote(parts.password or ""))
            if parts.username or parts.password
            else (user, password)
        )
        user = given[0] if given[0] is not None else os.environ.get("SCRAPYD_USERNAME", "")
        password = given[1] if given[1] is not None else os.environ.get("SCRAPYD_PASSWORD", "")
        self._credentials = f"{user}:{password}" if user or password else ""
        self._settings = dict(settings or {})

    def __repr__(self) -> str:
        return f"ScrapydNode({self.name!r})"

    def check(self) -> None:
        """Raise NodeError when the node cannot start a spider now."""
        self.daemon_status()
        if PROJECT not in self.projects():
            raise NodeError(
                f"{self.name} has no project {PROJECT}; `maricopa deploy --to {self.name}` puts it there"
            )

    def start(self, spider: str, arguments: Mapping[str, str]) -> str:
        """Schedule the spider and return scrapyd's job id. Raises NodeError."""
        if taken := sorted(_TAKEN & arguments.keys()):
            raise NodeError(
                f"{self.name}: scrapyd takes `{taken[0]}` for itself, so that no spider can be given it; put"
                " it into the job"
            )
        handle = uuid.uuid4().hex
        fields = [("project", PROJECT), ("spider", spider), ("jobid", handle), *arguments.items()]
        fields += [("setting", f"{name}={value}") for name, value in self._settings.items()]
        self._call("POST", "schedule.json", fields, timeout=_LOAD_S)
        return handle

    def is_running(self, handle: str) -> bool | None:
        """Tell whether the run waits or runs there; None when the node does not answer, or was started anew
        and knows nothing of it.
        """
        try:
            state = self._call("GET", "status.json", [("project", PROJECT), ("job", handle)]).get("currstate")
        except NodeError:
            return None
        return None if state is None else state != "finished"

    def stop(self, handle: str) -> None:
        """Send SIGINT, or take a run that waits out of the queue. Raises NodeError."""
        self._cancel(handle, "INT")

    def kill(self, handle: str) -> None:
        """Send SIGKILL. Raises NodeError."""
        self._cancel(handle, "KILL")

    def load(self) -> int:
        """Return how many crawls run or wait there, whosever they are. Raises NodeError."""
        status = self.daemon_status()
        return int(status["running"]) + int(status["pending"])

    def last_words(self, spider: str, handle: str) -> str:
        """Return the last line that a run logged, for one that never came to the ledger: its log is short; ""
        when there is none.
        """
        path = f"logs/{quote(PROJECT)}/{quote(spider, safe='')}/{quote(handle, safe='')}.log"
        try:
            status, body = self._exchange("GET", path, most=_LOG_MOST)
        except NodeError:
            return ""
        lines = body.decode(errors="replace").splitlines() if status == 200 else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def daemon_status(self) -> dict[str, Any]:
        """Return scrapyd's own counts: pending, running, finished. Raises NodeError."""
        answer = self._call("GET", "daemonstatus.json")
        if not {"running", "pending"} <= answer.keys():
            raise self._no_scrapyd("daemonstatus.json has no counts")
        return answer

    def add_version(self, version: str, egg: bytes) -> int:
        """Upload an egg; returns the number of its spiders. Raises NodeError."""
        boundary = uuid.uuid4().hex
        body = b""
        for name, value in (("project", PROJECT.encode()), ("version", version.encode()), ("egg", egg)):
            file = (
                '; filename="project.egg"\r\nContent-Type: application/octet-stream' if name == "egg" else ""
            )
            body += (
                f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
                + value
                + b"\r\n"
            )
        body += f"--{boundary}--\r\n".encode()
        return int(
            self._call(
                "POST", "addversion.json", body=body, content_type=_MULTIPART + boundary, timeout=_LOAD_S
            )["spiders"]
        )

    def projects(self) -> list[str]:
        """Return the names of the projects that the node can run. Raises NodeError."""
        return list(self._call("GET", "listprojects.json")["projects"])

    def versions(self) -> list[str]:
        """Return the versions of the project, as scrapyd sorts them: it runs the last. Raises NodeError."""
        return list(self._call("GET", "listversions.json", [("project", PROJECT)])["versions"])

    def drop_version(self, version: str) -> None:
        """Remove a version of the project. Raises NodeError."""
        self._call("POST", "delversion.json", [("project", PROJECT), ("version", version)])

    def _cancel(self, handle: str, signal: str) -> None:
        was = self._call(
            "POST", "cancel.json", [("project", PROJECT), ("job", handle), ("signal", signal)]
        ).get("prevstate")
        if was is None and self.is_running(handle) is None:
            raise NodeError(
                f"{self.name} was started anew and does not know its run {handle} any more; cancel its job: a"
                " run ends by itself"
            )

    def _call(
        self,
        method: str,
        service: str,
        fields: list[tuple[str, str]] | None = None,
        *,
        body: bytes | None = None,
        content_type: str = "application/x-www-form-urlencoded",
        timeout: float = _ASK_S,
    ) -> dict[str, Any]:
        path, headers = service, {}
        if method == "GET":
            path += "?" + urlencode(fields) if fields else ""
        else:
            body = body if body is not None else urlencode(fields or ()).encode()
            headers["Content-Type"] = content_type
        status, content = self._exchange(method, path, body, headers, timeout)
        if status == 401:
            wrong = "refuses this user or password" if self._credentials else "wants a user and a password"
            raise NodeError(f"{self.name} {wrong}; {_CREDENTIALS}")
        try:
            answer = json.loads(content)
            said = answer["status"]
        except (ValueError, KeyError, TypeError):
            raise self._no_scrapyd(f"{service} answered {status}") from None
        if said != "ok":
            raise NodeError(f"{self.name}: {_reason(str(answer.get('message', said)))}")
        assert isinstance(answer, dict)
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = _ASK_S,
        most: int | None = None,
    ) -> tuple[int, bytes]:
        # Not urllib: it would follow a redirect with the password, and ask a proxy for a node next to us.
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout)
        given = dict(headers or {})
        if self._credentials:
            given["Authorization"] = "Basic " + base64.b64encode(self._credentials.encode()).decode()
        try:
            connection.request(method, f"{self._path}/{path}", body, given)
            response = connection.getresponse()
            return response.status, response.read(most)
        except TimeoutError:
            hint = "; scrapyd itself speaks http, a proxy before it https" if self._is_tls else ""
            raise NodeError(
                f"{self.name} does not answer within {timeout:.0f} s; look whether scrapyd is well"
                f" there{hint}"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise NodeError(
                f"{self.name}: its certificate cannot be verified ({error.verify_message}); name the CA that"
                " signed it: SSL_CERT_FILE=/path/to/ca.pem"
            ) from None
        except ssl.SSLError as error:
            raise NodeError(
                f"{self.name}: {error.reason or 'no TLS'}; scrapyd itself speaks http, a proxy before it"
                " https"
            ) from None
        except OSError as error:
            raise NodeError(
                f"{self.name} cannot be reached ({error.strerror or error}); start scrapyd there, or correct"
                " the address"
            ) from None
        except http.client.HTTPException:
            raise self._no_scrapyd("no HTTP") from None
        finally:
            connection.close()

    def _no_scrapyd(self, why: str) -> NodeError:
        return NodeError(f"{self.name} is not a scrapyd of version 1.5 or later ({why}); correct the address")


def _capacity(name: str, options: Mapping[str, list[str]]) -> int:
    value, *_ = options.get("max_proc", ["1"])
    if options.keys() - {"max_proc"} or not (value.isascii() and value.isdigit() and 0 < int(value) < 10_000):
        raise NodeError(
            f"{name}: after the ? of an address stands max_proc=N alone, with N a whole number above zero"
        )
    return int(value)


def _reason(message: str) -> str:
    """Return one line of what scrapyd said; of a traceback, or what a process said, the last line that names
    an error.
    """
    lines = [line.strip() for line in message.replace("\\n", "\n").splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception|error)\b:?", line)]
    line = (telling or lines or ["no reason given"])[-1]
    if "ModuleNotFoundError" in line or "No module named" in line:
        return (
            f"the node cannot load the project ({line}); install in scrapyd's own Python what {PROJECT}"
            " needs, as docs/operations.md says"
        )
    return line
