"""How all offices of the sandbox answer: counts, faults, the rate limiter."""
