"""What `analysis/comparisons.py` compares: metrics, goals, the values of repeats, rates of failures."""
