"""The parts of `harness/monitor.py`: what is known of each target, of itself, and from where it goes on; and probes."""
