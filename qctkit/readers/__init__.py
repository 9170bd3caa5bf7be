"""Readers: bytes on disk to volumes."""
