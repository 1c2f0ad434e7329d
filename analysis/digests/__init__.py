"""A day or a week of a run directory as one page."""
