"""The GIS layers: a layer's answers, the walk over a layer, and what only the GIS needs in the database."""
