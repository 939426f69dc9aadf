"""Learned stand-ins for costly losses: Gaussian processes, what they are unsure of, and what checks them."""
