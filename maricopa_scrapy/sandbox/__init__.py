"""The sandbox county: a server on loopback that answers like the county's own, from a seed, with invented
records.
"""
