"""A plan inside Locust: the users of each cell, open arrivals, and both sides of master and workers."""
