"""The truth of the sandbox county, from a seed."""
