"""The zip that a person can attach to an issue: what was asked and answered, the findings, the proposal,
pictures; without persons.
"""

import datetime as dt
import re
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from maricopa_scrapy import __version__
from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.machine.output_file import new_file
from maricopa_scrapy.probe import findings_table as table
from maricopa_scrapy.probe.anonymise import Anonymiser
from maricopa_scrapy.probe.client import Asker, Seen
from maricopa_scrapy.probe.findings import Sheet, as_json
from maricopa_scrapy.probe.proposal import Proposal, written
from maricopa_scrapy.probe.words_to_keep import allowed_words

_KEY_BYTES = 32
_SECRET_LEAST = 6
_SAFE = """Persons' names, addresses, telephone numbers, e-mail addresses, tokens and cookies are replaced by
others of the same shape, the same one for the same value. What was not known as a code, a date, a number, a
label or a status was replaced. Pictures are drawn from the replaced pages. Look through it all the same
before you show it to anybody.
"""
_NAMES = """THIS BUNDLE HAS NAMES AND ADDRESSES OF REAL PERSONS (--with-names): it is for yourself, and
not for an issue. Tokens, cookies and scripts are taken out.
"""


@dataclass(slots=True)
class Bundle:
    """The files of one source's bundle, by name. `pages`: the HTML of what a browser showed, as it may be
    drawn.
    """

    source: str
    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, day: dt.date) -> Path:
        """Write the zip; one of the same day stays, and this one gets a number. Raises OSError."""
        path, number = folder / f"probe-{self.source}-{day:%Y%m%d}.zip", 1
        while path.exists():
            number += 1
            path = path.with_name(f"probe-{self.source}-{day:%Y%m%d}-{number}.zip")
        with new_file(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(self.files.items()):
                archive.writestr(name, content)
        return path


def anonymiser(asker: Asker, manifests: Mapping[str, Manifest], with_names: bool) -> Anonymiser:
    """Return the replacements of a bundle, by a new key that nobody keeps."""
    tokens = () if asker.planned.in_sandbox else tuple(asker.planned.headers.values())
    hidden = [text for text in (*tokens, *asker.cookies) if len(text) >= _SECRET_LEAST]
    return Anonymiser(secrets.token_bytes(_KEY_BYTES), allowed_words(manifests), hidden, with_names)


def make(asker: Asker, sheet: Sheet, proposal: Proposal | None, to: Anonymiser) -> Bundle:
    """Return the bundle of what was asked, without its pictures."""
    bundle = Bundle(sheet.source)
    # Twice: a name that a later answer shows is replaced in the earlier ones too.
    for seen in asker.seen:
        to.body(seen.body, seen.headers.get("content-type", ""))
    requests = []
    for number, seen in enumerate(asker.seen, start=1):
        requests.append(_request(seen, to))
        if not seen.body:
            continue
        name, content = _file(number, seen, to)
        bundle.files[f"bodies/{name}"] = content
        requests[-1]["file"] = f"bodies/{name}"
        if name.endswith(".html") and sheet.source == "treasurer":
            bundle.pages[name.removesuffix(".html")] = content.decode("utf-8", "ignore")
    told = [
        one | {"evidence": to.said(str(one["evidence"])), "follows": to.sweep(str(one["follows"]))}
        for one in as_json([sheet])
    ]
    indent = orjson.OPT_INDENT_2
    bundle.files["requests.json"] = orjson.dumps(requests, option=indent)
    bundle.files["table.json"] = orjson.dumps(
        {"source": sheet.source, "version": __version__, "findings": told}, option=indent
    )
    bundle.files["table.txt"] = table.as_text(sheet.findings, to).encode()
    if proposal is not None:
        lines = [*written(proposal).splitlines(), *(f"# {what}: {seen}" for what, seen in proposal.evidence)]
        lines += [f"# question: {question}" for question in proposal.questions]
        bundle.files["proposal.yaml"] = to.sweep("\n".join(map(to.label, lines)) + "\n").encode()
    bundle.files["README.txt"] = (_NAMES if to.keep_names else _SAFE).encode()
    return bundle


def _request(seen: Seen, to: Anonymiser) -> dict[str, object]:
    headers = {name: to.without_secrets(value) for name, value in seen.headers.items()}
    return {
        "what": seen.what,
        "method": seen.method,
        "url": to.sweep(to.url(seen.url)),
        "status": seen.status,
        "headers": headers,
        "bytes": len(seen.body),
        "error": to.said(seen.error),
    }


def _file(number: int, seen: Seen, to: Anonymiser) -> tuple[str, bytes]:
    content = to.body(seen.body, seen.headers.get("content-type", ""))
    ending = {b"{": "json", b"[": "json", b'"': "json", b"<": "html"}.get(content.lstrip()[:1], "txt")
    return f"{number:02d}-{re.sub(r'[^a-z0-9]+', '-', seen.what.lower()).strip('-')}.{ending}", content
