"""Cohorts to other formats."""
