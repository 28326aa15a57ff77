"""Postgres: the connection, the schema, and the writer. Knows no source by its name, and nothing of Scrapy.

- connect, interrupts (Ctrl-C during a query), server_checks (what a server has to be, what it refuses),
  embedded; schema (the tables and views: which files make them, and which of them a database has);
  data_dictionary is docs/data.md
- writer, store_and_acknowledge (one transaction of it), rows_by_table and columns (rows by column), tables
  (rows by record), rows (of a query, by name), absent_columns (what an answer did not say), targets (what an
  answer adds to a job), source_hooks (what else a source does)
- captures, row_hash, stored_identity (owner and address of a parcel, as each source stored them)
"""
