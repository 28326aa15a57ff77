"""Spider arguments (spider_arguments), and lists as people have them.

Lists are files of APNs or recording numbers, in any notation, table or compression (docs/parcel-lists.md).

lists: the lists that spiders and the manager read; list_layout: which columns count; list_rows: what each row
gives, or is wrong with it; list_lines: lines to cells; list_cells: what a cell says; list_file: compression
and encodings; list_workbook: Excel; list_table: a list with all its
cells.
"""

from maricopa_scrapy.arguments.lists import ApnList, RecordingNumbers

__all__ = ["ApnList", "RecordingNumbers"]
