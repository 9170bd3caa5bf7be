"""Volumes to femur masks."""
