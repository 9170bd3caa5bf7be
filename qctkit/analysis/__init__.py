"""Cohort figures: is the density of made samples that of real ones, and can they be told apart?

Arrays in, frozen values out; ``qctkit.pipeline.analyse`` measures the scans.
"""
