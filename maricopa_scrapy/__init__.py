"""Public property records of Maricopa County, Arizona, collected with Scrapy into one Postgres database."""

__version__ = "0.1.0"
