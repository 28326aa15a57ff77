"""A manifest that would fit what was seen: what it is, and how it is put into the user's own config
folder.
"""

import datetime as dt
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from maricopa_scrapy.configuration import ConfigError, Manifest

if TYPE_CHECKING:
    from maricopa_scrapy.probe.explore import Explored


@dataclass(frozen=True, slots=True)
class Proposal:
    """Keys of config/sources/<source>.yaml with the values that would fit, such as {"page": {...}}.

    `evidence`: (what, what it was seen by); `questions`: what only a person can say, printed as they stand:
    with one of them nothing is written. `marks`: name and CSS selector of each part, for the picture.
    """

    source: str
    section: dict[str, Any]
    evidence: list[tuple[str, str]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)


def propose(parcels: "Sequence[Explored]", absent: "Explored | None", manifest: Manifest) -> Proposal:
    """Return the `page` that would fit the treasurer's pages that were explored: of parcels that exist, and
    of one that does not.
    """
    from maricopa_scrapy.probe.found_layout import find_layout

    assert manifest.page is not None
    found = find_layout(parcels, absent, manifest.page.model_dump(mode="json"))
    return Proposal(manifest.source, {"page": found.page}, found.evidence, found.questions, found.marks)


def apply(proposal: Proposal, today: dt.date) -> tuple[Path, Path]:
    """Write the proposed manifest to MARICOPA_CONFIG, else ./config; returns it and the old one, which stays
    next to it.

    A ./config that is not there begins as the shipped one, whole. Raises ConfigError, and writes nothing
    then.
    """
    folder = _own_folder()
    file = folder / "sources" / f"{proposal.source}.yaml"
    try:
        old = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    new = _replaced(old, proposal.section)
    try:
        Manifest.model_validate(yaml.safe_load(new))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{file}: what is proposed does not fit: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None
    copy = _free(file.with_name(f"{file.name}.{today:%Y%m%d}"))
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(new, encoding="utf-8")
        shutil.copy2(file, copy)
        part.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    return file, copy


def written(proposal: Proposal) -> str:
    """Return what is proposed as YAML."""
    return yaml.safe_dump(proposal.section, sort_keys=False, allow_unicode=True, width=120)


def _own_folder() -> Path:
    named = os.environ.get("MARICOPA_CONFIG")
    if named:
        return Path(named)
    folder = Path("config")
    if not (folder / "config.yaml").is_file() or not (folder / "sources").is_dir():
        try:
            with resources.as_file(resources.files("maricopa_scrapy.config")) as shipped:
                for source in sorted(shipped.rglob("*.yaml")):
                    copy = folder / source.relative_to(shipped)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    if not copy.exists():
                        shutil.copy2(source, copy)
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}") from None
    return folder


def _free(path: Path) -> Path:
    """Return the name, or with a number behind it where there is such a file already."""
    tried, number = path, 1
    while tried.exists():
        number += 1
        tried = path.with_name(f"{path.name}.{number}")
    return tried


def _replaced(text: str, section: dict[str, Any]) -> str:
    """Return the YAML with these top-level keys anew; all else, comments among it, stays as it was."""
    for key, value in section.items():
        written_out = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=120)
        lines = text.splitlines(keepends=True)
        first = next((at for at, line in enumerate(lines) if line.startswith(f"{key}:")), None)
        if first is None:
            text = text.rstrip("\n") + "\n" + written_out
            continue
        last = first + 1
        while last < len(lines) and (not lines[last].strip() or lines[last][0] in " \t#-"):
            last += 1
        # What stands above the next key is its own.
        while last < len(lines) and (not lines[last - 1].strip() or lines[last - 1].startswith("#")):
            last -= 1
        text = "".join([*lines[:first], written_out, *lines[last:]])
    return text
