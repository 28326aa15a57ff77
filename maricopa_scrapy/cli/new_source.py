"""`maricopa new-source`: the files of a further source, each a small working one to begin from."""

import keyword
import re
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined

# Answers for 165-28-054 to begin with; what is read in each is written by the first run of the tests.
_ANSWERS = {
    "ordinary": '{"apn": "165-28-054", "description": "LOT 1", "amount": "1200", "later": 1}\n',
    "key_absent": '{"apn": "165-28-054", "amount": "1200"}\n',
    "wrong_parcel": '{"apn": "165-28-055", "description": "LOT 1", "amount": "1200"}\n',
    "no_parcel": '{"apn": "none", "description": "LOT 1", "amount": "1200"}\n',
    "odd_amount": '{"apn": "165-28-054", "description": "LOT 1", "amount": "a lot"}\n',
}
_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")


class ScaffoldError(ValueError):
    """Files that cannot be made; the message is one line with the remedy."""


def write(root: Path, name: str, title: str, base_url: str, path: str, kind: str = "record") -> list[Path]:
    """Write the files of a source into a checkout of the project; returns their paths, below `root`. Raises
    ScaffoldError.

    Nothing is written when one of them is there already.
    """
    for what, word in (("name", name), ("kind", kind)):
        if not _NAME.fullmatch(word) or keyword.iskeyword(word):
            raise ScaffoldError(
                f"{what} {word!r}: small letters, digits and _ make a name that is also a module and a"
                " schema, such as permits"
            )
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
        raise ScaffoldError(f"base URL {base_url!r}: the form is https://permits.example.gov")
    if not path.startswith("/") or "{apn}" not in path:
        raise ScaffoldError(f"path {path!r}: the form is /permits/{{apn}}")
    if not (root / "maricopa_scrapy" / "sources").is_dir() or not (root / "config" / "sources").is_dir():
        raise ScaffoldError(f"{root} is no checkout of maricopa_scrapy: go to the folder with pyproject.toml")
    words = {
        "name": name, "kind": kind, "title": title, "base_url": base_url.rstrip("/"), "path": path,
        "record": _camel(f"{name}_{kind}"), "spider": _camel(f"{name}_spider"),
    }  # fmt: skip
    files = {
        f"config/sources/{name}.yaml": "manifest.yaml",
        f"maricopa_scrapy/sources/{name}/__init__.py": "package.py.txt",
        f"maricopa_scrapy/sources/{name}/records.py": "items.py.txt",
        f"maricopa_scrapy/sources/{name}/schema.sql": "schema.sql",
        f"maricopa_scrapy/sources/{name}/page.py": "pages.py.txt",
        f"maricopa_scrapy/sources/{name}/spider.py": "spider.py.txt",
    }
    answers = {
        f"tests/fixtures/{name}/{kind}/16528054-{case}/input.json": answer
        for case, answer in _ANSWERS.items()
    }
    if there := [file for file in (*files, *answers) if (root / file).exists()]:
        raise ScaffoldError(f"{there[0]} is there already: choose another name")
    render = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = resources.files("maricopa_scrapy.cli") / "scaffold"
    written = answers | {
        file: render.from_string((templates / template).read_text("utf-8")).render(words)
        for file, template in files.items()
    }
    for file, content in written.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(content, "utf-8")
    return [Path(file) for file in written]


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
