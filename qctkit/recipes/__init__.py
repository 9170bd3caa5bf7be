"""Recipes that ship with qctkit."""
