"""Predictors: views of a volume to estimates of the subject's attributes."""
