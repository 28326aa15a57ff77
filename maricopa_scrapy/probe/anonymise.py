"""Answers without persons: what is not known as a code, a date, a number, a label or a status becomes other
letters and digits.

By allow-list: a text stays only where probe/words_to_keep.py knows it. The same value gets the same
replacement in everything that one `Anonymiser` replaces, by a key that nobody keeps. Letters become
consonants of the same case, digits other digits.
"""

import re
from collections.abc import Collection
from hashlib import shake_256
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

import orjson

from maricopa_scrapy.parsing.redaction import without_sketches
from maricopa_scrapy.probe import words_to_keep as known
from maricopa_scrapy.probe.anonymise_html import Page

_CONSONANTS = "bcdfghjklmnpqrstvwxz"
# Of a list of features, and of a search: so many say as much as all.
_ROWS_KEPT = 50
_LEAST = 4
_HOSTS = re.compile(r"(?:^|\.)(?:maricopa\.gov|arcgis\.com|localhost|127\.0\.0\.1)$")
_LINK = re.compile(r"https?://[^\s\"'<>]+")
# Also one whose end was cut off.
_QUOTED = re.compile(r"(['\"])((?:\\.|(?!\1).)*?)(\1|\.\.\.|\Z)", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,60}")
_DEPTH_MOST = 60
# What a text in place of a secret says.
REMOVED = "removed"


class Anonymiser:
    """The replacements of one bundle. `keep_names`: only tokens, cookies and the like go; `secrets` are texts
    that go anyway.
    """

    def __init__(
        self, key: bytes, allowed: frozenset[str], secrets: Collection[str] = (), keep_names: bool = False
    ) -> None:
        self.allowed = allowed
        self.keep_names = keep_names
        self._key = key
        self._secrets = sorted((text for text in secrets if text), key=len, reverse=True)
        # Words of what was a person's or an address, as they are compared: none of them stays anywhere.
        self._persons: set[str] = set()
        self._made: dict[str, str] = {}

    def word(self, text: str) -> str:
        """Return letters and digits of the same shape for one run of them."""
        folded = text.casefold()
        made = self._made.get(folded)
        if made is None:
            noise = shake_256(self._key + folded.encode("utf-8", "ignore")).digest(len(folded))
            made = self._made[folded] = "".join(map(_other, folded, noise))
        if len(made) != len(text):
            made = "".join(
                map(_other, text, shake_256(self._key + text.encode("utf-8", "ignore")).digest(len(text)))
            )
        return "".join(new.upper() if old.isupper() else new for old, new in zip(text, made, strict=True))

    def personal(self, text: str) -> str:
        """Replace all letters and digits of a text that is a person's, an address or unknown."""
        if self.keep_names:
            return text
        words = (each.casefold() for each in known.LETTERS.findall(text) if len(each) >= _LEAST)
        self._persons.update(word for word in words if word not in self.allowed)
        return self._between(
            known.PHONE, text, lambda part: known.WORD.sub(lambda word: self.word(word[0]), part), self._phone
        )

    def prose(self, text: str) -> str:
        """Replace a text but for dates, money, parcels and recording numbers in it."""
        return text if self.keep_names else self._between(known.SPANS, text, self.personal)

    def label(self, text: str) -> str:
        """Replace the words of a heading that are not known, and where there is one, its numbers too."""
        return (
            text if self.keep_names else self._between(known.PHONE, text, self._words_of_label, self._phone)
        )

    def _words_of_label(self, text: str) -> str:
        text = known.EMAIL.sub(lambda found: self.personal(found[0]), text)
        words = [word.casefold() for word in known.LETTERS.findall(text)]
        if all(word in self.allowed for word in words) and not re.search(
            r"\d[A-Za-z]", known.SPANS.sub("", text)
        ):
            return text

        def part(between: str) -> str:
            return known.WORD.sub(
                lambda word: word[0] if word[0].casefold() in self.allowed else self.personal(word[0]),
                between,
            )

        return self._between(known.SPANS, text, part)

    def value(self, text: str) -> str:
        """Replace a text of a cell unless all of it is known: a number, or words of statuses and labels."""
        stripped = text.strip()
        if not stripped or self.keep_names:
            return text
        if not known.PHONE.search(stripped) and (
            known.NUMBER.fullmatch(stripped) or known.is_known_text(stripped, self.allowed)
        ):
            return text
        return self.prose(text)

    def _phone(self, text: str) -> str:
        """Return a number that is nobody's: 555-01xx of another area."""
        digits = [char for char in self.word("tel" + re.sub(r"\D", "", text)[-10:])[3:] if char.isdigit()]
        number = f"{2 + int(digits[0]) % 8}{digits[1]}{digits[2]}55501{digits[8]}{digits[9]}"
        of = iter(number if sum(char.isdigit() for char in text) == 10 else f"1{number}")
        return "".join(next(of) if char.isdigit() else char for char in text)

    def leaf(self, key: str, text: str) -> str:
        """Return the value of a key, a field, a parameter or an attribute."""
        stripped = text.strip()
        if known.is_secret_key(key):
            return REMOVED if stripped else text
        if known.UUID.fullmatch(stripped):
            return known.WORD.sub(lambda word: self.word(word[0]), text)
        if self.keep_names or not stripped:
            return self.without_secrets(text)
        if stripped in known.WITHHELD:
            return text
        if known.is_schema_key(key):
            return text if _IDENTIFIER.fullmatch(stripped) else self.label(text)
        if known.is_person_key(key):
            return self.personal(text)
        if "://" in stripped or stripped.startswith("//"):
            return self.url(text)
        if known.PHONE.search(stripped) or known.EMAIL.search(stripped):
            return self.prose(text)
        if known.NUMBER.fullmatch(stripped) or known.CODE.fullmatch(stripped):
            return text
        if known.SHORT_CODE.fullmatch(stripped) and self._is_known_key(key):
            return text
        return text if known.is_known_text(stripped, self.allowed) else self.prose(text)

    def _is_known_key(self, key: str) -> bool:
        return key.rpartition(".")[2].casefold() in self.allowed

    def url(self, url: str) -> str:
        """Return an address: host and words of paths stay where they are known, the values of parameters go
        by their names.
        """
        try:
            parts = urlsplit(url.strip())
            host = parts.hostname or ""
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return self.personal(url)
        netloc = (host if _HOSTS.search(host) or self.keep_names else self.personal(host)) + port
        path = "/".join(
            part if len(part) == 1 else self._quoted(unquote(part), self.label)
            for part in parts.path.split("/")
        )
        pairs = [pair.partition("=") for pair in parts.query.split("&")] if parts.query else []
        query = "&".join(
            self._parameter(unquote_plus(name), equals, unquote_plus(value)) for name, equals, value in pairs
        )
        return urlunsplit((parts.scheme, netloc, path, query, ""))

    def _parameter(self, name: str, equals: str, value: str) -> str:
        return (
            (name if _IDENTIFIER.fullmatch(name) else self._quoted(name, self.label))
            + equals
            + self._quoted(value, lambda text: self.leaf(name, text))
        )

    def _quoted(self, text: str, replace: Any) -> str:
        return quote(replace(text), safe="/:;,()*'$=-._~{}")

    def json(self, value: Any, key: str = "", depth: int = 0) -> Any:
        """Return a decoded JSON value without persons; of long lists only the beginning."""
        if depth > _DEPTH_MOST:
            return None
        if isinstance(value, dict):
            is_schema = key in ("fieldAliases", "fields")
            return {
                self._key_of(name): self.json(one, f"{key}.{name}" if is_schema else name, depth + 1)
                for name, one in value.items()
            }
        if isinstance(value, list):
            is_long = value and isinstance(value[0], dict) and key != "fields"
            return [self.json(one, key, depth + 1) for one in (value[:_ROWS_KEPT] if is_long else value)]
        if isinstance(value, str):
            return self.leaf(key, value)
        if isinstance(value, bool) or not isinstance(value, int | float) or self.keep_names:
            return value
        if known.is_secret_key(key):
            return None
        is_person = known.is_person_key(key) and not known.is_schema_key(key)
        if is_person or (
            isinstance(value, int) and known.PHONE.fullmatch(str(value)) and not self._is_known_key(key)
        ):
            made = self.personal(str(value)).lstrip("0") or "1"
            return type(value)(made) if re.fullmatch(r"-?\d+(?:\.\d+)?", made) else None
        return value

    def _key_of(self, name: str) -> str:
        """A key is a label, unless it has words between blanks that nobody knows."""
        return (
            name
            if re.fullmatch(r"[A-Za-z_][\w./-]*", name) and not known.PHONE.search(name)
            else self.label(name)
        )

    def body(self, body: bytes, content_type: str = "") -> bytes:
        """Return the body of an answer without persons. What is neither JSON, nor HTML, nor text goes
        whole.
        """
        start = body.lstrip()[:1]
        if start in (b"{", b"[", b'"'):
            try:
                value = orjson.loads(without_sketches(body))
            except orjson.JSONDecodeError:
                pass
            else:
                return self.sweep(
                    orjson.dumps(self.json(value), option=orjson.OPT_INDENT_2).decode()
                ).encode()
        text = body.decode("utf-8-sig", "replace")
        if "\0" in text[:1000] or text[:2000].count("\ufffd") > 20:
            return f"{len(body)} bytes, {content_type or 'of no type'}\n".encode()
        if start == b"<" or "html" in content_type:
            return self.html(text).encode("utf-8", "ignore")
        return self.sweep(self.without_secrets("\n".join(map(self.label, text.splitlines())))).encode(
            "utf-8", "ignore"
        )

    def html(self, text: str) -> str:
        """Return a page without persons, scripts, comments and hidden tokens."""
        return self.sweep(Page(self).replaced(text))

    def said(self, text: str) -> str:
        """Return the evidence of a finding: what it quotes of an answer, and its links, are replaced."""
        if self.keep_names:
            return self.without_secrets(text)

        def quoted(found: re.Match[str]) -> str:
            return f"{found[1]}{self.label(found[2])}{found[3]}"

        def between(part: str) -> str:
            part = known.EMAIL.sub(
                lambda found: self.personal(found[0]),
                known.PHONE.sub(lambda found: self._phone(found[0]), part),
            )
            return _QUOTED.sub(quoted, part)

        links = self._between(_LINK, text, between, self.url)
        return self.sweep(links)

    def sweep(self, text: str) -> str:
        """Replace words of persons and addresses wherever they still are, and what must not be in a bundle at
        all.
        """
        text = self.without_secrets(text)
        if self.keep_names or not self._persons:
            return text
        return known.LETTERS.sub(
            lambda word: self.word(word[0]) if word[0].casefold() in self._persons else word[0], text
        )

    def without_secrets(self, text: str) -> str:
        """Take the token out of a text."""
        for secret in self._secrets:
            text = text.replace(secret, REMOVED).replace(quote(secret, safe=""), REMOVED)
        return text

    def _between(self, spans: re.Pattern[str], text: str, replace: Any, span: Any = str) -> str:
        """Replace what is between the spans of a text, and the spans by `span`."""
        parts, done = [], 0
        for found in spans.finditer(text):
            parts += [replace(text[done : found.start()]), span(found[0])]
            done = found.end()
        return "".join([*parts, replace(text[done:])])


def _other(char: str, noise: int) -> str:
    """Return another character of the same kind."""
    if char.isdecimal():
        return str((int(char) + 1 + noise % 9) % 10)
    if not char.isalpha():
        return char
    made = _CONSONANTS[noise % len(_CONSONANTS)]
    return made if made != char else _CONSONANTS[(noise + 1) % len(_CONSONANTS)]
