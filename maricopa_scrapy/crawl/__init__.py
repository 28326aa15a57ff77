"""A crawl: the spider that leases targets, what it hands on, the run record, what is told while it runs."""
