"""`scrapy crawl`, with the ledger's verdict as its exit code."""
