"""Features as one text file with a byte index: any run of rows is a slice of it.

Blocks are written when they are first asked for. The file has no name, so nothing is left of it.
"""

import os
import tempfile
from array import array
from collections.abc import Sequence

from maricopa_scrapy.sandbox.gis.layer_shapes import LayerShape
from maricopa_scrapy.sandbox.gis.parcel_layer import Facts, ParcelLayer

_BLOCK = 1000
_HALF = 0.0004


class Features:
    """One layer's rows with some of their fields, each as `{"attributes":{...}},`."""

    def __init__(
        self, layer: ParcelLayer, shape: LayerShape, fields: Sequence[str], outlines: bool, precision: int
    ) -> None:
        self._layer = layer
        self._shape = shape
        inner = ",".join(f'"{name}":%({name})s' for name in fields)
        self._template = '{"attributes":{' + inner + "}"
        self._outlines = outlines
        self._precision = precision
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - kept as long as this object
        self._size = 0
        # block: where it begins in the file, and where each of its rows ends behind that.
        self._blocks: dict[int, tuple[int, array[int]]] = {}

    def run(self, first: int, last: int) -> bytes:
        """Return the rows at positions from `first` to before `last`, with commas between them."""
        parts = []
        for block in range(first // _BLOCK, (last - 1) // _BLOCK + 1) if last > first else ():
            begin, ends = self._block(block)
            low, high = max(0, first - block * _BLOCK), min(len(ends), last - block * _BLOCK)
            start = ends[low - 1] if low else 0
            parts.append(os.pread(self._file.fileno(), ends[high - 1] - start, begin + start))
        return b"".join(parts)[:-1]

    def some(self, positions: Sequence[int]) -> bytes:
        """Return the rows at some positions, with commas between them."""
        return b",".join(self.run(at, at + 1) for at in positions)

    def _block(self, block: int) -> tuple[int, "array[int]"]:
        found = self._blocks.get(block)
        return found if found is not None else self._write(block)

    def _write(self, block: int) -> tuple[int, "array[int]"]:
        ends = array("I")
        rows = []
        size = 0
        for row in self._layer.ids[block * _BLOCK : (block + 1) * _BLOCK]:
            facts = self._layer.facts(row)
            text = self._template % self._shape.write(facts)
            text += f',"geometry":{self._outline(facts)}}},' if self._outlines else "},"
            rows.append(text)
            size += len(text)
            ends.append(size)
        begin = self._size
        os.pwrite(self._file.fileno(), "".join(rows).encode("ascii"), begin)
        self._size += size
        self._blocks[block] = begin, ends
        return begin, ends

    def _outline(self, facts: Facts) -> str:
        west, south = facts["longitude"] - _HALF, facts["latitude"] - _HALF
        corners = ((0, 0), (0, 2), (2, 2), (2, 0), (0, 0))
        digits = self._precision
        points = ",".join(
            f"[{west + x * _HALF:.{digits}f},{south + y * _HALF:.{digits}f}]" for x, y in corners
        )
        return f'{{"rings":[[{points}]]}}'
