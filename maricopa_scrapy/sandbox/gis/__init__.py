"""The sandbox's GIS layers."""
