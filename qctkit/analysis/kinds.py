"""For whom each real-or-fake figure is given."""

MADE, REAL, AFFINE = "made", "real_against_real", "affine_and_noise"
RESERVED = {MADE: "made", REAL: "real against real", AFFINE: "affine and noise"}
"""Those of every analysis, in words."""

BESIDE = "beside"
"""Under this name are those of other files, each under its own."""
