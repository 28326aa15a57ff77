"""Lists as other programs write them: workbooks, zips, text in encodings."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook

HIDDEN = "(hidden)"


def file(folder: Path, content: str | bytes, name: str = "list.csv") -> str:
    """Write a list; returns its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def workbook(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> bytes:
    """Return a workbook of sheets and their rows; a name that ends with HIDDEN is that of a hidden sheet."""
    made = Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name.removesuffix(HIDDEN))
        sheet.sheet_state = "hidden" if name.endswith(HIDDEN) else "visible"
        for row in rows:
            sheet.append(row)
    body = io.BytesIO()
    made.save(body)
    return body.getvalue()


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """Return a zip of files."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return body.getvalue()
