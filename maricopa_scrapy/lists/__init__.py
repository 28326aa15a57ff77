"""Lists as people have them: files of APNs or recording numbers, in any notation, table or compression (docs/parcel-lists.md).

reader: the lists that spiders and the manager read; table: which columns count; rows: what each row gives, or is wrong with it;
records: lines to cells; cells: what a cell says; unpack: compression and encodings; workbook: Excel.
"""

from maricopa_scrapy.lists.reader import ApnList, RecordingNumbers

__all__ = ["ApnList", "RecordingNumbers"]
