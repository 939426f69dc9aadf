"""Search kit: find where a loss is large, and fit laws to it. Methods, the audit and scenarios are built on it."""
