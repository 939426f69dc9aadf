"""Systems of parts: networks, k out of n, and projects; and laws to draw their failures from."""
