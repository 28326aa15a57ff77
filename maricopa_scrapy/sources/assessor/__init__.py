"""The assessor: the API with its search, and the public page."""
