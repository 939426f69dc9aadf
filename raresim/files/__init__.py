"""Files read and written safely, run folders, and YAML with the lines of its values."""
