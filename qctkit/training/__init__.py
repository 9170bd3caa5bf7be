"""Cohorts to downstream training."""
