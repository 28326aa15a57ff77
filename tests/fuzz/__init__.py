"""Bodies broken on purpose, and readers of our own that say what a parser may make of them."""
