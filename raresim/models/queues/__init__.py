"""Ruin and queues: random walks and jump chains, and laws to draw their large values from."""
