"""Finding where a loss is large and fitting laws to it: what the method ``auto`` is made of."""
