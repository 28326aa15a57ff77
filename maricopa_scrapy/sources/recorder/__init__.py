"""The recorder: documents, searches, scans, and the legacy pages."""
