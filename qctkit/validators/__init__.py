"""Validators: candidates to verdicts."""
