"""Outages, from samples or from Locust's CSV: when, for how long, and how they lie on a line of time."""
