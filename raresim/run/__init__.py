"""The path of a run: explore, search, estimate, audit, rounds, reading, result."""
