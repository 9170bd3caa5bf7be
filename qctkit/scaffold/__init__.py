"""New plugins: whole distributions, made from templates."""
