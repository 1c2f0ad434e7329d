"""The parts of `analysis/trends.py`: the runs of a folder, their series, what is found in them."""
