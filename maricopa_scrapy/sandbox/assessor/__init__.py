"""The sandbox's assessor."""
