"""A CSV file a table, written by Postgres itself."""

from pathlib import Path

from maricopa_scrapy.store.export import Selection, Table


class CsvWriter:
    """UTF-8, a header, texts in quotes, NULL as nothing between the commas; texts that a spreadsheet would run are defused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError."""
        with (self._folder / f"{table.name}.csv").open("wb") as file:
            return selection.copy(table, file, defused=True)

    def close(self) -> None:
        """All is written."""
