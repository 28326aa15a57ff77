"""Lists as people have them: files of APNs or recording numbers, in any notation, table or compression (docs/parcel-lists.md).

reader: the lists that spiders and the manager read; table: which columns count; records: lines to cells; cells: what a cell says;
files: encodings and compression; workbook: Excel.
"""

from maricopa_scrapy.lists.reader import ApnList, RecordingNumbers

__all__ = ["ApnList", "RecordingNumbers"]
