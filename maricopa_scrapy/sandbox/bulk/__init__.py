"""The sandbox's bulk files."""
