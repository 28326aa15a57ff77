"""One SQLite database with a table a table."""

import datetime as dt
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from maricopa_scrapy.records.export.selection import Selection, Table
from maricopa_scrapy.records.export.writers import number

NAME = "maricopa.sqlite"
# A column of decimals has no type, so that what no number says exactly stays a text.
_TYPES = {"integer": "INTEGER", "boolean": "INTEGER", "float": "REAL", "decimal": ""}


class SqliteWriter:
    """Dates and moments are ISO texts, booleans 0 and 1, lists JSON."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / NAME, isolation_level=None)
        # A file that is not whole never gets its name: there is nothing to roll back.
        self._database.execute("PRAGMA journal_mode = OFF")

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError."""
        columns = ", ".join(f'"{column.name}" {_TYPES.get(column.kind, "TEXT")}' for column in table.columns)
        insert = f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})"
        count = 0
        try:
            with closing(self._database.cursor()) as cursor:
                cursor.execute(f"CREATE TABLE {table.name} ({columns})")
                cursor.execute("BEGIN")
                for chunk in selection.rows(table):
                    cursor.executemany(insert, ([_value(value) for value in row] for row in chunk))
                    count += len(chunk)
                cursor.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise OSError(0, str(error)) from error
        return count

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return orjson.dumps(value).decode() if isinstance(value, list) else value
