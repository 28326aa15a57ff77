"""Objects of a source as columns of ours: which key goes where, and the audit of what is left."""

import sys
from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints, with_config
from typing_extensions import TypedDict

from maricopa_scrapy.items import Json
from maricopa_scrapy.parsing.errors import ABSENT, SourceChanged
from maricopa_scrapy.parsing.notes import Notes
from maricopa_scrapy.parsing.redaction import sketch_digest
from maricopa_scrapy.parsing.values import (
    CODE_MOST,
    Coercion,
    clean,
    code,
    is_missing,
    is_phone,
    required_code,
    required_year,
    scalar,
    text,
)

# Of a row's key: absent, the row is nobody's.
_REQUIRED: tuple[Coercion, ...] = (required_code, required_year)
# Coercions that take text as it is, but for its blanks, up to a length.
_TEXTS: dict[Coercion, int] = {text: sys.maxsize, scalar: sys.maxsize, code: CODE_MOST}
_JSON_DEPTH_MOST = 16
# Rows of one list of one answer; the longest seen has some hundreds.
ROWS_MOST = 10_000


class Shape:
    """One documented object: `columns` maps each column of ours to (key of the source, coercion).

    The column of an absent key is ABSENT, unless it is part of a row's key: that is an error. null, [] and {}
    in place of the object are an object without values.
    """

    def __init__(self, path: str, **columns: tuple[str, Coercion]) -> None:
        self.path = path
        self._prefix = f"{path}." if path else ""
        described = [(column, key, self._prefix + key, coerce) for column, (key, coerce) in columns.items()]
        self._texts = [(*one, _TEXTS[one[3]]) for one in described if one[3] in _TEXTS]
        self._others = [one for one in described if one[3] not in _TEXTS]
        self._described = described
        self.keys = {key for _, key, _, _ in described}
        self._empty = dict.fromkeys(columns)

    def read(self, raw: object, notes: Notes) -> dict[str, Any]:
        """Return the object's columns, all of them ABSENT for the object ABSENT. Raises SourceChanged;
        unknown keys are noted.
        """
        if raw is ABSENT:
            notes.is_absent(self.path)
            return dict.fromkeys(self._empty, ABSENT)
        if is_missing(raw):
            return self._empty.copy()
        if not isinstance(raw, dict):
            raise SourceChanged(self.path, "an object", raw)
        columns = self.take(raw, notes)
        self.audit(raw, notes)
        return columns

    def take(self, raw: dict[str, Any], notes: Notes) -> dict[str, Any]:
        """Remove the documented keys from `raw` and return their columns. Raises SourceChanged; then, too,
        none of them is left.
        """
        if not self.keys <= raw.keys():
            return self._take_partly(raw, notes)
        pop = raw.pop
        columns = {}
        try:
            # values.text, code and scalar written out for text: two thirds of all values, in a third of the
            # time.
            for column, key, path, coerce, most in self._texts:
                value = pop(key)
                if type(value) is str and len(value) <= most:
                    value = value.strip()
                    columns[column] = None if value == "" or value == "na" else value
                else:
                    columns[column] = coerce(value, path)
            for column, key, path, coerce in self._others:
                columns[column] = coerce(pop(key), path)
        except SourceChanged:
            for key in self.keys:
                pop(key, None)
            raise
        return columns

    def _take_partly(self, raw: dict[str, Any], notes: Notes) -> dict[str, Any]:
        given = {key: raw.pop(key) for key in self.keys & raw.keys()}
        if not given:
            raise SourceChanged(
                self.path or "body", f"an object with {', '.join(sorted(self.keys)[:3])}", raw
            )
        columns = {}
        for column, key, path, coerce in self._described:
            if key in given:
                columns[column] = coerce(given[key], path)
            elif coerce in _REQUIRED:
                raise SourceChanged(path, "this key", ABSENT)
            else:
                notes.is_absent(path)
                columns[column] = ABSENT
        return columns

    def audit(self, rest: dict[str, Any], notes: Notes) -> None:
        """Note the keys that nothing took."""
        for key in rest:
            if not is_phone(key):
                notes.is_new(self._prefix + key)

    def rows(self, raw: object, notes: Notes) -> list[dict[str, Any]]:
        """Return the columns of each object of a list; none for the list ABSENT. Raises SourceChanged."""
        if raw is ABSENT:
            notes.is_absent(self.path.removesuffix("[]"))
            return []
        if self._others:
            return [self.read(row, notes) for row in as_list(raw, self.path)]
        return [self._plain(row) or self.read(row, notes) for row in as_list(raw, self.path)]

    def _plain(self, row: object) -> dict[str, Any] | None:
        """Read a row that has just the documented keys, each with text: what nearly all of the many small
        rows are.
        """
        if type(row) is not dict or row.keys() != self.keys:
            return None
        columns = {}
        for column, key, _, _, most in self._texts:
            value = row[key]
            if type(value) is str and len(value) <= most:
                value = value.strip()
                columns[column] = None if value == "" or value == "na" else value
            elif is_missing(value):
                columns[column] = None
            else:
                return None
        return columns


def plain_rows(shape: Shape, least: int) -> Any:
    """Return the type of a list of the shape's rows with text of at least `least` characters in every key,
    and no other key.
    """
    text_type = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=least)]
    row = TypedDict(shape.path, dict.fromkeys(sorted(shape.keys), text_type))  # type: ignore[misc]
    return list[with_config(ConfigDict(extra="forbid"))(row)]  # type: ignore[misc]


def as_list(raw: object, path: str) -> list[Any]:
    """Return a list of no more than ROWS_MOST; null, [] and {} are an empty one. Raises SourceChanged."""
    if is_missing(raw):
        return []
    if not isinstance(raw, list):
        raise SourceChanged(path, "a list", raw)
    if len(raw) > ROWS_MOST:
        raise SourceChanged(path, f"a list of at most {ROWS_MOST:,}", raw)
    return raw


def json_part(value: object, path: str) -> Json | None:
    """Return a list or object whose inside is not documented: whole, keys sorted, without telephone numbers
    and sketches.
    """
    if is_missing(value):
        return None
    if not isinstance(value, list | dict):
        raise SourceChanged(path, "a list or an object", value)
    kept: Json = _kept(value, path, 0)
    return kept


def text_or_json(value: object, path: str) -> str | Json | None:
    """Return text, or a list or object whose inside is not documented."""
    return text(value, path) if isinstance(value, str) else json_part(value, path)


def _kept(value: Any, path: str, depth: int) -> Any:
    if depth > _JSON_DEPTH_MOST:
        raise SourceChanged(path, f"at most {_JSON_DEPTH_MOST} levels", value)
    if isinstance(value, str):
        return clean(value)
    # A whole number of more than 64 bits has been rounded by the reader of JSON.
    if isinstance(value, float) and abs(value) >= 2**63:
        raise SourceChanged(path, "numbers of at most 64 bits", value)
    if isinstance(value, list):
        return [_kept(part, path, depth + 1) for part in value]
    if isinstance(value, dict):
        kept = {}
        for key in sorted(value):
            if not is_phone(key):
                part = value[key]
                digest = sketch_digest(part) if key == "Sketch" and type(part) is str and part else None
                kept[clean(key)] = _kept(
                    {"sha256": digest[0], "length": digest[1]} if digest else part, path, depth + 1
                )
        return kept
    return value
