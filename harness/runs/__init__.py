"""The processes of a run, which `harness/launch.py` starts and ends, and what is brought together after them."""
