"""A Parquet file a table, by Apache Arrow: what Postgres copies is read as it comes, a row group at a
time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from maricopa_scrapy.records.export.selection import Column, Selection, Table
from maricopa_scrapy.records.export.writers import ExportError

# Bytes of CSV read at once, and rows of a row group.
_BLOCK = 4 << 20
_GROUP = 100_000
_TYPES = {
    "text": pa.string(), "integer": pa.int64(), "float": pa.float64(), "decimal": pa.decimal128(38, 10),
    "boolean": pa.bool_(),
    "date": pa.date32(), "timestamp": pa.timestamp("us"), "moment": pa.timestamp("us", "UTC"),
    "list": pa.list_(pa.string()),
}  # fmt: skip


class ParquetWriter:
    """zstd; whole numbers of 64 bits, decimals of 38 digits, 10 of them behind the point; moments in UTC."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, selection: Selection, table: Table) -> int:
        """Write a table; returns the number of its rows. Raises OSError and ExportError."""
        schema = pa.schema([(column.name, _TYPES[column.kind]) for column in table.columns])
        path = self._folder / f"{table.name}.parquet"
        count = 0
        try:
            with (
                pa.parquet.ParquetWriter(path, schema, compression="zstd") as writer,
                selection.stream(table) as source,
            ):
                for group in _groups(_batches(source, table.columns, schema)):
                    writer.write_table(pa.Table.from_batches(group, schema))
                    count += sum(batch.num_rows for batch in group)
        except pa.ArrowInvalid as error:
            raise ExportError(
                f"{table.name}: Parquet cannot hold a value ({str(error).splitlines()[0]}); take --format csv"
            ) from None
        return count

    def close(self) -> None:
        """All is written."""


def _batches(source: Any, columns: tuple[Column, ...], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    types = {column.name: pa.string() if column.kind == "list" else _TYPES[column.kind] for column in columns}
    lists = [at for at, column in enumerate(columns) if column.kind == "list"]
    reader = pa.csv.open_csv(
        source,
        pa.csv.ReadOptions(block_size=_BLOCK),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        ),
    )
    for batch in reader:
        arrays = batch.columns
        for at in lists:
            arrays[at] = pa.array(
                [None if text is None else orjson.loads(text) for text in arrays[at].to_pylist()],
                schema.field(at).type,
            )
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield batches together that are a row group."""
    group: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        if rows >= _GROUP:
            yield group
            group, rows = [], 0
    if group:
        yield group
