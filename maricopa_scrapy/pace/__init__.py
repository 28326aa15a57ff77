"""What stands between the engine and a host: the rate, and what an answer means before anyone parses it."""
