"""Quantiles of the chi-square distribution: how far from the middle most people lie."""

from scipy.special import gammaincinv

USUAL_SHARE = 0.95
"""What counts as usual: all but one in twenty."""


def usual_square(degrees: int) -> float:
    """Return what a sum of squares of so many standard normals stays below in 95 % of draws."""
    return float(2.0 * gammaincinv(degrees / 2.0, USUAL_SHARE))
