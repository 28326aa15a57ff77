"""Postgres: the connection, the ledger, the writer and the schema. Knows nothing of Scrapy."""
