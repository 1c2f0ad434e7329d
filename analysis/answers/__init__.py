"""The answers that replies give, whether they are right, and whether it is still the same model."""
