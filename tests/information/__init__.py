"""Every formula of `raresim.information` against a value from elsewhere."""
