"""Stored records as files for other programs: CSV, Excel, Parquet, GeoJSON, SQLite."""
