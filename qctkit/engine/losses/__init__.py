"""Loss terms: what the optimisation minimises."""
