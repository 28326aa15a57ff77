"""The spiders: assessor, assessor_page, roll, tax, sales, documents, affidavits.

The other files are what they share: base (leases, asks, answers), work (what passes between), connection (address and token),
deeds (from parcels to other offices), recorder_api and recorder_pages, bulk_files with bulk_scan and bulk_download, and
company (answers are read together).
"""
