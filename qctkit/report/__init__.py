"""Pages with pictures, for people."""
