"""What `make bench` runs: this client beside others, against the simulator's truth. `python -m benchmarks --help`."""
