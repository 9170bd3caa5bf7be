"""The cohort file: writing it safely, reading it lazily."""
