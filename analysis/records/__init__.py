"""The records of `summary.json` that more than one part needs; `analysis/summary.py` holds the whole of it."""
