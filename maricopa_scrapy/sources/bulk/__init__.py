"""The assessor's bulk files: their layout, their lines, the check before a load."""
