"""The manager: what a job is made of, and the processes that work on it."""
