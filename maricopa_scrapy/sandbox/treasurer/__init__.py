"""The sandbox's treasurer."""
