"""Postgres: the connection, the ledger, the writer and the schema. Knows nothing of Scrapy.

- the database: connect, server (what it has to be, what it refuses), embedded, private (folders and logs); its schema is migrations/*.sql
- the ledger: ledger (targets, runs, leases), jobs (plans, turns, wishes), verdict, feeding (may work still come?), lost (silent runs),
  node, source (the pace)
- the writer: writer, batch (one transaction), paging and columns (rows by column), tables (rows by record), absent (what an answer
  did not say), layers
- sources with a course of their own: roll, stacked, missing and lists (GIS), deeds (recorder), signs (treasurer), loads (bulk files)
- told to a person: progress, statistics, report with samples and histogram, issues, captures, stale
- what changed: changes with queries (`maricopa changes`), diff (between rolls), reparse (read again)
- is it right: verify with fingerprint, floors; dictionary is docs/data.md
- out and away: export, cleanup
"""
