"""Joint laws of the risk factors that are made of marginals and a copula."""
