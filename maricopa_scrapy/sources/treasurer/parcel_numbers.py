"""Parcel numbers and texts as they stand in the treasurer's page."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from parsel import Selector

from maricopa_scrapy.parsing.identifiers import IdentifierError, parse_bill_number

# APNs as they stand in text, with a bill's check digit or without; without dashes only where something names
# the parcel.
DASHED = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{3}[A-Za-z]?(?:-\d)?(?![\w-])", re.ASCII)
NUMBER = re.compile(r"(?<![\w-])\d{3}-?\d{2}-?\d{3}[A-Za-z]?(?:-\d)?(?![\w-])", re.ASCII)


def is_apn(number: str, apn: str) -> bool:
    """Tell whether a number of a page is the parcel's.

    >>> is_apn("123-45-678A-1", "12345678A"), is_apn("123-45-678", "12345678A")
    (True, False)
    """
    try:
        return parse_bill_number(number) == apn
    except IdentifierError:
        return False


def numbers_in_address(address: str) -> list[str]:
    """Return the parcel numbers of a URL: whole parts of its path or its fragment, and whole values of its
    parameters.

    >>> numbers_in_address("https://x.example/tax/?lang=en&Parcel=123-45-678"), numbers_in_address("https://x.example/#/p/12345678A")
    (['123-45-678'], ['12345678A'])
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return []
    path, _, query = parts.fragment.partition("?")
    pieces = [unquote(piece) for piece in f"{parts.path}/{path}".split("/")]
    pieces += [value for _, value in parse_qsl(f"{parts.query}&{query}")]
    return [piece for piece in pieces if NUMBER.fullmatch(piece)]


def text_of(element: Selector) -> str:
    """Return all text of an element in one line."""
    return " ".join(" ".join(element.xpath(".//text()").getall()).split())


def classes_of(element: Selector) -> list[str]:
    """Return the names of an element's classes."""
    return (element.attrib.get("class") or "").split()
