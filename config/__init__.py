"""The settings as shipped; importable, so that importlib.resources finds the files beside it."""
