"""What a run leaves, each record declared once."""
