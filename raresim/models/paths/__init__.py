"""Parts of the model of a path: processes, what is asked of a path, and the schemes that draw it."""
