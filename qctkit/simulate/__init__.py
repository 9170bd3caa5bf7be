"""Parameters to a cohort: an analytic proximal femur in HU with known truth."""
