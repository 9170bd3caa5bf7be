"""Local pages: the blinded reading."""
