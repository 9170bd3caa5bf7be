"""Edits: differentiable, parameterised changes of a volume, one per file."""
