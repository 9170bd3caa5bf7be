"""The optimisation: an edit of a scan, driven by frozen predictors."""
