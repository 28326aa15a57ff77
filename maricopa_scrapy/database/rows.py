"""Rows of the last statement by the names of their columns, in place of their positions."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

from psycopg2.extensions import cursor as Cursor

T = TypeVar("T")


def dicts(cursor: Cursor) -> list[dict[str, Any]]:
    """Return the rows as dictionaries."""
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def objects(cursor: Cursor, of: Callable[..., T]) -> list[T]:
    """Return the rows as objects of a class that has a field for each column."""
    return [of(**row) for row in dicts(cursor)]


def named(cursor: Cursor) -> list[Any]:
    """Return the rows as objects with an attribute for each column."""
    return objects(cursor, SimpleNamespace)
