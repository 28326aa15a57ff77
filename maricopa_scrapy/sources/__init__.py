"""The county's offices, a folder each: records, parsers, spiders, and what only this source does in the
database.

records: one class a table. spider: what `scrapy crawl` runs.
hooks: what the database asks of this source.
Besides them: roll (GIS layers, or bulk files), sales (from parcels to their last deeds), parser_strictness
(what each parser may refuse: docs/sources.md).
"""
