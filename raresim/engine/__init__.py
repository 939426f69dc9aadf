"""Blocks become weighted losses: problem, session, executors, journal."""
