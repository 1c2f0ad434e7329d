"""The parts of `analysis/ranking.py` and `analysis/recommendation.py`: who competes, at what burden, how sure it is."""
